import { OpKind } from '../src/program/program';
import { checkInput, type LowbitKernel } from './kernel';
import { runWeightless } from './weightless';

export interface QuantizedConcatAttrs {
  /** Negative: counted from the end. */
  axis: number;
  /** Of each input. */
  inputScales: number[];
  inputZeroPoints: number[];
  outputScale: number;
  outputZeroPoint: number;
}

/** Concatenation of int8 codes (inputs `x0`, `x1`... int32), rescaled to the output's scale. */
export const quantizedConcatKernel: LowbitKernel = {
  name: 'QuantizedConcat',
  inputNames: ['...x'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedConcatAttrs;
    const tensors = Object.keys(call.inputs).map((name) =>
      checkInput('QuantizedConcat', call.inputs, name, 'int32'),
    );
    return runWeightless(call, {
      kernelName: 'QuantizedConcat',
      kind: OpKind.Concat,
      inputs: tensors.map((tensor, i) => ({
        tensor,
        params: { scale: attrs.inputScales[i], zeroPoint: attrs.inputZeroPoints[i] },
      })),
      output: { scale: attrs.outputScale, zeroPoint: attrs.outputZeroPoint },
      outputRank: tensors[0].shape.length,
      fields: () => ({ axis: attrs.axis }),
    });
  },
};
