import { OpKind } from '../src/program/program';
import { checkInput, type LowbitKernel } from './kernel';
import { fusedActivation, type OutputAttrs, outputParams } from './one-op';
import { runWeightless } from './weightless';

export interface QuantizedBatchMatMulAttrs extends OutputAttrs {
  aScale: number;
  aZeroPoint: number;
  bScale: number;
  bZeroPoint: number;
  /** Default false. */
  transposeA?: boolean;
  transposeB?: boolean;
}

/** Matrix product, on the last two axes, of two tensors of int8 codes (int32); output: int32 codes or float32. */
export const quantizedBatchMatMulKernel: LowbitKernel = {
  name: 'QuantizedBatchMatMul',
  inputNames: ['a', 'b'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedBatchMatMulAttrs;
    const a = checkInput('QuantizedBatchMatMul', call.inputs, 'a', 'int32');
    const b = checkInput('QuantizedBatchMatMul', call.inputs, 'b', 'int32');
    const output = outputParams(attrs);
    return runWeightless(call, {
      kernelName: 'QuantizedBatchMatMul',
      kind: OpKind.BatchMatMul,
      inputs: [
        { tensor: a, params: { scale: attrs.aScale, zeroPoint: attrs.aZeroPoint } },
        { tensor: b, params: { scale: attrs.bScale, zeroPoint: attrs.bZeroPoint } },
      ],
      output,
      outputRank: Math.max(a.shape.length, b.shape.length),
      fields: (weights) => ({
        transposeA: attrs.transposeA ?? false,
        transposeB: attrs.transposeB ?? false,
        activation: fusedActivation(attrs, output, weights),
      }),
    });
  },
};
