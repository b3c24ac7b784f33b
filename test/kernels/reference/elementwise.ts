import {
  type Activation,
  type BinaryKind,
  type Op,
  OpKind,
  type TensorSpec,
} from '../../../src/program/program';
import { store, storeScale, toCode } from './requantize';
import { isFloat, makeTensor, positions, type ReferenceTensor, scaleOf } from './tensor';

/** NumPy broadcasting: shapes aligned at the last axis, 1 stretches. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    return left === 1 ? right : left;
  });
}

/** Elements from one step to the next along each axis of the output; 0 where the tensor is stretched. */
export function broadcastStrides(shape: readonly number[], rank: number): number[] {
  const strides: number[] = Array(rank).fill(0);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; --axis) {
    if (shape[axis] !== 1) strides[axis + rank - shape.length] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** What the ops that bring both operands to steps of the output do with them. */
const COMBINE = {
  [OpKind.Add]: (a: number, b: number) => Math.fround(a + b),
  [OpKind.Sub]: (a: number, b: number) => Math.fround(a - b),
  [OpKind.Maximum]: Math.max,
  [OpKind.Minimum]: Math.min,
};

/**
 * Add, Sub, Maximum, Minimum: of float32((a - zero) * float32(s_a / s_out)) and the same of b, one rounding each.
 * Mul: (a - zero) * (b - zero), exact, times float32(s_a * s_b / s_out).
 */
export function binary(
  op: { kind: BinaryKind; activation: Activation },
  a: ReferenceTensor,
  b: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const outputScale = storeScale(spec, op.activation);
  const [scaleA, scaleB] = [scaleOf(a.spec), scaleOf(b.spec)];
  const { kind } = op;
  const combine =
    kind === OpKind.Mul
      ? (left: number, right: number) =>
          Math.fround(left * right * Math.fround((scaleA * scaleB) / outputScale))
      : (left: number, right: number) =>
          COMBINE[kind](
            Math.fround(left * Math.fround(scaleA / outputScale)),
            Math.fround(right * Math.fround(scaleB / outputScale)),
          );
  const shape = broadcastShape(a.shape, b.shape);
  const stridesA = broadcastStrides(a.shape, shape.length);
  const stridesB = broadcastStrides(b.shape, shape.length);
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

/** (code - zero) * float32(s_in / s_out), or from the zero point down times float32(s_in * alpha[c] / s_out). */
export function prelu(
  op: Extract<Op, { kind: OpKind.Prelu }>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const [scaleIn, scaleOut] = [scaleOf(input.spec), scaleOf(spec)];
  return store(spec, input.shape, {}, weights, (index) => {
    const alpha = view.getFloat32(op.alphaOffset + 4 * (index % op.channels), true);
    const steps = input.values[index]! - input.spec.zeroPoint;
    const multiplier = steps >= 0 ? scaleIn / scaleOut : (scaleIn * alpha) / scaleOut;
    return Math.fround(steps * Math.fround(multiplier));
  });
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
