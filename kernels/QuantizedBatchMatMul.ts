import { OpKind } from '../src/program/program';
import { fusedActivation, type OutputAttrs, outputParams } from './one-op';
import { type BinaryAttrs, binaryParams, weightlessKernel } from './weightless';

export interface QuantizedBatchMatMulAttrs extends OutputAttrs, BinaryAttrs {
  /** Default false. */
  transposeA?: boolean;
  transposeB?: boolean;
}

/** Matrix product, on the last two axes, of two tensors of int8 codes (int32); output: int32 codes or float32. */
export const quantizedBatchMatMulKernel = weightlessKernel<QuantizedBatchMatMulAttrs>(
  'QuantizedBatchMatMul',
  ['a', 'b'],
  (attrs) => {
    const output = outputParams(attrs);
    const { transposeA = false, transposeB = false } = attrs;
    return {
      kind: OpKind.BatchMatMul,
      inputs: binaryParams(attrs),
      output,
      fields: (weights) => ({ transposeA, transposeB, activation: fusedActivation(attrs, output, weights) }),
    };
  },
);
