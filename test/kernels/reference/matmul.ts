import type { Op, OpKind, TensorSpec } from '../../../src/program/program';
import { broadcastShape, broadcastStrides } from './elementwise';
import { store, storeScale } from './requantize';
import { isFloat, makeTensor, positions, type ReferenceTensor, scaleOf, sizeOf } from './tensor';

/** A tensor of matrices, and where element (row, column) of one lies. */
function matrices({ shape }: ReferenceTensor, transposed: boolean) {
  const [height, width] = shape.slice(-2) as [number, number];
  return transposed
    ? { rows: width, columns: height, at: (row: number, column: number) => column * width + row }
    : { rows: height, columns: width, at: (row: number, column: number) => row * width + column };
}

/** sum of (a - zero) * (b - zero), exact, times float32(s_a * s_b / s_out); s_out is 1 for a float32 output. */
export function batchMatMul(
  op: Extract<Op, { kind: OpKind.BatchMatMul }>,
  a: ReferenceTensor,
  b: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const [left, right] = [matrices(a, op.transposeA), matrices(b, op.transposeB)];
  const [batchesA, batchesB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const batches = broadcastShape(batchesA, batchesB);
  const stridesA = broadcastStrides(batchesA, batches.length);
  const stridesB = broadcastStrides(batchesB, batches.length);
  const start = (position: readonly number[], strides: readonly number[], size: number) =>
    position.reduce((sum, p, axis) => sum + p * strides[axis]!, 0) * size;
  const sums: number[] = [];
  for (const position of positions(batches)) {
    const startA = start(position, stridesA, sizeOf(a.shape.slice(-2)));
    const startB = start(position, stridesB, sizeOf(b.shape.slice(-2)));
    for (let row = 0; row < left.rows; ++row) {
      for (let column = 0; column < right.columns; ++column) {
        let sum = 0;
        for (let k = 0; k < left.columns; ++k) {
          const codeA = a.values[startA + left.at(row, k)]!;
          const codeB = b.values[startB + right.at(k, column)]!;
          sum += (codeA - a.spec.zeroPoint) * (codeB - b.spec.zeroPoint);
        }
        sums.push(sum);
      }
    }
  }
  const outputScale = isFloat(spec) ? 1 : storeScale(spec, op.activation);
  const multiplier = Math.fround((scaleOf(a.spec) * scaleOf(b.spec)) / outputScale);
  const shape = [...batches, left.rows, right.columns];
  return store(spec, shape, op.activation, weights, (index) =>
    Math.fround(Math.fround(sums[index]!) * multiplier),
  );
}

export function constant(
  op: Extract<Op, { kind: OpKind.Constant }>,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  return makeTensor(spec, op.shape, Array.from(weights.subarray(op.offset, op.offset + sizeOf(op.shape))));
}
