import { OpKind } from '../src/program/program';
import {
  type ActivationName,
  activationFunction,
  floatTable,
  lookupTable,
} from '../src/quantization/activation';
import { affineOf } from './one-op';
import { weightlessKernel } from './weightless';

export interface QuantizedLookupAttrs {
  activation: ActivationName;
  inputScale: number;
  inputZeroPoint: number;
  /** Absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/** A pointwise function of int8 codes (int32) through a table of 256 entries; output: int32 codes or float32. */
export const quantizedLookupKernel = weightlessKernel<QuantizedLookupAttrs>(
  'QuantizedLookup',
  ['x'],
  (attrs) => {
    const input = { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint };
    const output = affineOf(attrs.outputScale, attrs.outputZeroPoint);
    const f = activationFunction(attrs.activation);
    return {
      kind: OpKind.Lookup,
      inputs: [input],
      output,
      fields: (weights) => ({
        tableOffset: weights.append(output ? lookupTable(f, input, output) : floatTable(f, input)),
      }),
    };
  },
);
