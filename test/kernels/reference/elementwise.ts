import { type Activation, type Op, OpKind, type TensorSpec } from '../../../src/runtime/program';
import { store, storeScale, toCode } from './requantize';
import { isFloat, makeTensor, positions, type ReferenceTensor, scaleOf } from './tensor';

/** NumPy broadcasting: shapes aligned at the last axis, 1 stretches. */
function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    return left === 1 ? right : left;
  });
}

/** Elements from one step to the next along each axis of the output; 0 where the tensor is stretched. */
function broadcastStrides({ shape }: ReferenceTensor, rank: number): number[] {
  const strides: number[] = Array(rank).fill(0);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; --axis) {
    if (shape[axis] !== 1) strides[axis + rank - shape.length] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/**
 * Add: float32((a - zero) * float32(s_a / s_out)) + the same of b, one rounding each.
 * Mul: (a - zero) * (b - zero), exact, times float32(s_a * s_b / s_out).
 */
export function binary(
  op: { kind: OpKind.Add | OpKind.Mul; activation: Activation },
  a: ReferenceTensor,
  b: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const outputScale = storeScale(spec, op.activation);
  const [scaleA, scaleB] = [scaleOf(a.spec), scaleOf(b.spec)];
  const combine =
    op.kind === OpKind.Add
      ? (left: number, right: number) =>
          Math.fround(
            Math.fround(left * Math.fround(scaleA / outputScale)) +
              Math.fround(right * Math.fround(scaleB / outputScale)),
          )
      : (left: number, right: number) =>
          Math.fround(left * right * Math.fround((scaleA * scaleB) / outputScale));
  const shape = broadcastShape(a.shape, b.shape);
  const stridesA = broadcastStrides(a, shape.length);
  const stridesB = broadcastStrides(b, shape.length);
  const values: number[] = [];
  for (const position of positions(shape)) {
    let [atA, atB] = [0, 0];
    for (const [axis, p] of position.entries()) {
      atA += p * stridesA[axis]!;
      atB += p * stridesB[axis]!;
    }
    values.push(combine(a.values[atA]! - a.spec.zeroPoint, b.values[atB]! - b.spec.zeroPoint));
  }
  return store(spec, shape, op.activation, weights, (index) => values[index]!);
}

export function lookup(
  op: Extract<Op, { kind: OpKind.Lookup }>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const entry = isFloat(spec)
    ? (index: number) => view.getFloat32(op.tableOffset + 4 * index, true)
    : (index: number) => view.getInt8(op.tableOffset + index);
  return makeTensor(
    spec,
    input.shape,
    input.values.map((code) => entry(code + 128)),
  );
}

/** float32(x / scale), rounded; NaN gives the lowest code. */
export function quantizeReals(input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const steps = input.values.map((x) => Math.fround(x / scaleOf(spec)));
  return makeTensor(
    spec,
    input.shape,
    steps.map((value) => toCode(value, spec.zeroPoint)),
    steps,
  );
}

export function dequantize(input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const { zeroPoint } = input.spec;
  return makeTensor(
    spec,
    input.shape,
    input.values.map((code) => Math.fround((code - zeroPoint) * scaleOf(input.spec))),
  );
}
