/** Ops that read weights as float32 numbers. */
import {
  type Op,
  type OpKind,
  type StoredFilterRef,
  type TensorSpec,
  WeightFormat,
} from '../../../src/program/program';
import { quantizeReals } from './elementwise';
import { LowBitFilter } from './low-bit';
import { isFloat, makeTensor, type ReferenceTensor } from './tensor';

const fround = Math.fround;

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** Sums that run side by side. */
const SUMS = 16;

const dataView = (bytes: Int8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The real value of weight k of a row of a filter in any format. */
function weightReader(
  ref: StoredFilterRef,
  weights: Int8Array,
  rows: number,
  depth: number,
): (row: number, k: number) => number {
  if (ref.format !== WeightFormat.Int8) {
    const filter = new LowBitFilter(ref, weights, rows, depth);
    return (row, k) => filter.value(row, k);
  }
  const view = dataView(weights);
  return (row, k) =>
    fround(weights[ref.filterOffset + row * depth + k]! * view.getFloat32(ref.scaleOffset + 4 * row, true));
}

/** Element k goes to sum k % 16, one rounding a product and a sum; then halves are added to halves. */
function product(x: readonly number[], weight: (k: number) => number): number {
  let sums: number[] = Array(SUMS).fill(0);
  for (const [k, value] of x.entries()) {
    sums[k % SUMS] = fround(sums[k % SUMS]! + fround(value * weight(k)));
  }
  while (sums.length > 1) {
    const half = sums.length / 2;
    sums = sums.slice(0, half).map((sum, i) => fround(sum + sums[i + half]!));
  }
  return sums[0]!;
}

/** NaN stays what it is. */
function clampFloat(value: number, { floatMin, floatMax }: { floatMin?: number; floatMax?: number }): number {
  const [low, high] = [
    fround(floatMin ?? Number.NEGATIVE_INFINITY),
    fround(floatMax ?? Number.POSITIVE_INFINITY),
  ];
  return value < low ? low : value > high ? high : value;
}

export function linearFloat(
  op: OpOf<OpKind.LinearFloat>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { inFeatures, outFeatures, filter, activation } = op;
  const weight = weightReader(filter, weights, outFeatures, inFeatures);
  const bias = (n: number) =>
    filter.biasOffset === undefined ? 0 : dataView(weights).getFloat32(filter.biasOffset + 4 * n, true);
  const values: number[] = [];
  for (let first = 0; first < input.values.length; first += inFeatures) {
    const x = input.values.slice(first, first + inFeatures);
    for (let n = 0; n < outFeatures; ++n) {
      values.push(clampFloat(fround(product(x, (k) => weight(n, k)) + bias(n)), activation));
    }
  }
  return makeTensor(spec, [...input.shape.slice(0, -1), outFeatures], values);
}

export function gather(
  op: OpOf<OpKind.Gather>,
  indices: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { rows, depth, filter } = op;
  const weight = weightReader(filter, weights, rows, depth);
  const values = indices.values.flatMap((row) => Array.from({ length: depth }, (_, k) => weight(row, k)));
  const real = makeTensor(spec, [...indices.shape, depth], values);
  return isFloat(spec) ? real : quantizeReals(real, spec);
}
