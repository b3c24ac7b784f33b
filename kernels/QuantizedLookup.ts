import { OpKind } from '../src/program/program';
import {
  type ActivationName,
  activationFunction,
  floatTable,
  lookupTable,
} from '../src/quantization/activation';
import { checkInput, type LowbitKernel } from './kernel';
import { affineOf } from './one-op';
import { runWeightless } from './weightless';

export interface QuantizedLookupAttrs {
  activation: ActivationName;
  inputScale: number;
  inputZeroPoint: number;
  /** Absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/** A pointwise function of int8 codes (int32) through a table of 256 entries; output: int32 codes or float32. */
export const quantizedLookupKernel: LowbitKernel = {
  name: 'QuantizedLookup',
  inputNames: ['x'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedLookupAttrs;
    const x = checkInput('QuantizedLookup', call.inputs, 'x', 'int32');
    const input = { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint };
    const output = affineOf(attrs.outputScale, attrs.outputZeroPoint);
    const f = activationFunction(attrs.activation);
    return runWeightless(call, {
      kernelName: 'QuantizedLookup',
      kind: OpKind.Lookup,
      inputs: [{ tensor: x, params: input }],
      output,
      outputRank: x.shape.length,
      fields: (weights) => ({
        tableOffset: weights.append(output ? lookupTable(f, input, output) : floatTable(f, input)),
      }),
    });
  },
};
