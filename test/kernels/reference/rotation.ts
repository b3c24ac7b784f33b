import type { Op, OpKind, Rotation, TensorSpec } from '../../../src/program/program';
import { quantizeReals } from './elementwise';
import { isFloat, makeTensor, type ReferenceTensor, scaleOf } from './tensor';

const fround = Math.fround;

/** -1 where the bit of the element is set. */
export function signOf(element: number, seed: number): number {
  let word = (seed + Math.imul(0x9e3779b9, Math.floor(element / 32) + 1)) | 0;
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  word ^= word >>> 16;
  return (word >>> (element % 32)) & 1 ? -1 : 1;
}

/** Butterflies one stage after the other, each sum rounded to float32. */
function transform(values: readonly number[]): number[] {
  let current = [...values];
  for (let stride = 1; stride < values.length; stride *= 2) {
    current = current.map((value, i) =>
      i & stride ? fround(current[i - stride]! - value) : fround(value + current[i + stride]!),
    );
  }
  return current;
}

/** Rotates one row; `scale` is what a step of its values stands for. */
export function rotateRow(row: readonly number[], { block, seed, inverse }: Rotation, scale = 1): number[] {
  const result: number[] = [];
  let size = block;
  for (let start = 0; start < row.length; start += size) {
    while (size > row.length - start) size /= 2;
    const sign = (i: number) => signOf(start + i, seed);
    const signed = (values: readonly number[]) => values.map((value, i) => value * sign(i));
    const values = row.slice(start, start + size);
    const multiplier = fround(scale / Math.sqrt(size));
    const transformed = transform(inverse ? values : signed(values)).map((v) => fround(v * multiplier));
    result.push(...(inverse ? signed(transformed) : transformed));
  }
  return result;
}

export function rotate(
  op: Extract<Op, { kind: OpKind.Rotate }>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const { depth } = op.rotation;
  const fromReals = isFloat(input.spec);
  const steps = fromReals ? input.values : input.values.map((code) => code - input.spec.zeroPoint);
  const floats: number[] = [];
  for (let start = 0; start < steps.length; start += depth) {
    const row = steps.slice(start, start + depth);
    floats.push(...rotateRow(row, op.rotation, fromReals ? 1 : scaleOf(input.spec)));
  }
  const real = makeTensor(spec, input.shape, floats);
  return isFloat(spec) ? real : quantizeReals(real, spec);
}
