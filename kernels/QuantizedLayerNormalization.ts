import { OpKind, WeightsBuilder } from '../src/program/program';
import { cachedProgram, checkInput, type LowbitKernel, runProgram } from './kernel';
import { affineOf, compileOneOp, programKey } from './one-op';

export interface QuantizedLayerNormalizationAttrs {
  epsilon: number;
  /** Absent: `x` is float32. */
  inputScale?: number;
  inputZeroPoint?: number;
  /** Absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/**
 * Layer normalization along the last axis: (x - mean) / sqrt(variance + epsilon) * gamma + beta.
 *
 * Inputs: `x` int32 codes or float32 [..., channels]; `gamma` and `beta` float32, one number a channel. Output: int32 codes
 * or float32, same shape.
 */
export const quantizedLayerNormalizationKernel: LowbitKernel = {
  name: 'QuantizedLayerNormalization',
  inputNames: ['x', 'gamma', 'beta'],
  weightNames: ['gamma', 'beta'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedLayerNormalizationAttrs;
    const params = affineOf(attrs.inputScale, attrs.inputZeroPoint);
    const output = affineOf(attrs.outputScale, attrs.outputZeroPoint);
    const { name } = quantizedLayerNormalizationKernel;
    const x = checkInput(name, call.inputs, 'x', params ? 'int32' : 'float32');
    const gamma = checkInput(name, call.inputs, 'gamma', 'float32');
    const beta = checkInput(name, call.inputs, 'beta', 'float32');
    const program = cachedProgram(call, gamma, programKey(name, attrs, [x]), () => {
      const weights = new WeightsBuilder();
      const append = (tensor: typeof gamma) =>
        weights.append(Float32Array.from(call.host.read(call.backend, tensor)));
      const fields = {
        channels: gamma.shape[0],
        gammaOffset: append(gamma),
        betaOffset: append(beta),
        epsilon: attrs.epsilon,
      };
      const rank = x.shape.length;
      return compileOneOp(
        {
          kind: OpKind.LayerNormalization,
          name,
          inputs: [{ params, rank }],
          output,
          outputRank: rank,
          fields,
        },
        weights,
      );
    });
    return runProgram(call, program, [x], output ? 'int32' : 'float32')[0];
  },
};
