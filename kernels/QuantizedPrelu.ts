import { OpKind, WeightsBuilder } from '../src/program/program';
import { cachedProgram, checkInput, type LowbitKernel, runProgram } from './kernel';
import { compileOneOp, programKey } from './one-op';

export interface QuantizedPreluAttrs {
  inputScale: number;
  inputZeroPoint: number;
  outputScale: number;
  outputZeroPoint: number;
}

/**
 * x where x >= 0 and alpha * x below, of int8 codes. Inputs: `x` int32 [..., channels], `alpha` float32, one number a
 * channel. Output: int32 codes.
 */
export const quantizedPreluKernel: LowbitKernel = {
  name: 'QuantizedPrelu',
  inputNames: ['x', 'alpha'],
  weightNames: ['alpha'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedPreluAttrs;
    const x = checkInput('QuantizedPrelu', call.inputs, 'x', 'int32');
    const alpha = checkInput('QuantizedPrelu', call.inputs, 'alpha', 'float32');
    const program = cachedProgram(call, alpha, programKey('QuantizedPrelu', attrs, [x]), () => {
      const weights = new WeightsBuilder();
      const alphas = Float32Array.from(call.host.read(call.backend, alpha));
      const params = { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint };
      return compileOneOp(
        {
          kind: OpKind.Prelu,
          name: 'QuantizedPrelu',
          inputs: [{ params, rank: x.shape.length }],
          output: { scale: attrs.outputScale, zeroPoint: attrs.outputZeroPoint },
          outputRank: x.shape.length,
          fields: { channels: alphas.length, alphaOffset: weights.append(alphas) },
        },
        weights,
      );
    });
    return runProgram(call, program, [x], 'int32')[0];
  },
};
