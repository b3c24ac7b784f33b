import { type ActivationName, activationFunction, lookupTable } from '../src/quantization/activation';
import { OpKind } from '../src/runtime/program';
import { checkInput, type LowbitKernel } from './kernel';
import { runWeightless } from './weightless';

export interface QuantizedLookupAttrs {
  activation: ActivationName;
  inputScale: number;
  inputZeroPoint: number;
  outputScale: number;
  outputZeroPoint: number;
}

/** A pointwise function of int8 codes (int32) through a table of 256 entries. */
export const quantizedLookup: LowbitKernel = {
  name: 'QuantizedLookup',
  inputNames: ['x'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedLookupAttrs;
    const x = checkInput('QuantizedLookup', call.inputs, 'x', 'int32');
    const input = { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint };
    const output = { scale: attrs.outputScale, zeroPoint: attrs.outputZeroPoint };
    return runWeightless(call, {
      kernelName: 'QuantizedLookup',
      kind: OpKind.Lookup,
      inputs: [{ tensor: x, params: input }],
      output,
      outputRank: x.shape.length,
      fields: (weights) => ({
        tableOffset: weights.append(lookupTable(activationFunction(attrs.activation), input, output)),
      }),
    });
  },
};
