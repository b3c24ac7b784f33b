/** Ops with a filter of 2, 3 or 4 bits a weight: exact integer sums by group, float32 sums of the groups. */
import {
  type LowBitFilterRef,
  type Op,
  type OpKind,
  type TensorSpec,
  WEIGHT_BITS,
  WeightFormat,
} from '../../../src/program/program';
import { store, storeScale } from './requantize';
import { indexOf, isFloat, type ReferenceTensor, scaleOf } from './tensor';
import { outputPositions, realTaps, windowAxes } from './window';

const fround = Math.fround;

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** The value of float16 bits, by the definition of the format. */
function halfToNumber(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  return exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
}

/** A filter [rows][depth], taken apart. */
export class LowBitFilter {
  readonly groups: number;
  private readonly group: number;
  private readonly view: DataView;
  private readonly bits: number;
  private readonly rowBytes: number;
  private readonly levels: number[] = [];

  constructor(
    private readonly ref: LowBitFilterRef,
    weights: Int8Array,
    rows: number,
    private readonly depth: number,
  ) {
    this.view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
    this.bits = WEIGHT_BITS[ref.format];
    // Whole bytes; of 3 bits, whole words of 24 bits.
    this.rowBytes = this.bits === 3 ? 3 * Math.ceil(depth / 8) : Math.ceil((depth * this.bits) / 8);
    this.group = ref.group || depth;
    this.groups = Math.ceil(depth / this.group);
    for (let row = 0; row < rows; ++row) {
      for (let k = 0; k < depth; ++k) this.levels.push(this.level(row, k));
    }
  }

  private code(row: number, k: number): number {
    let code = 0;
    for (let bit = 0; bit < this.bits; ++bit) {
      const at = k * this.bits + bit;
      const byte = this.view.getUint8(this.ref.filterOffset + row * this.rowBytes + Math.floor(at / 8));
      code += ((byte >> (at % 8)) & 1) << bit;
    }
    return code;
  }

  private level(row: number, k: number): number {
    const before = this.ref.format === WeightFormat.Trellis2 && k >= 4 ? this.code(row, k - 4) : 0;
    const index =
      this.ref.format === WeightFormat.Trellis2 ? before + 4 * this.code(row, k) : this.code(row, k);
    return this.view.getInt8(this.ref.levelsOffset + index);
  }

  private scale(row: number, group: number): number {
    const half = this.view.getUint16(this.ref.scaleOffset + 2 * (row * this.groups + group), true);
    // A set sign marks a small one.
    const scale = half < 0x8000 ? halfToNumber(half) : halfToNumber(half - 0x8000) / 2 ** 30;
    return fround(scale * fround(this.ref.unit));
  }

  /** The real value of a weight. */
  value(row: number, k: number): number {
    return fround(this.levels[row * this.depth + k]! * this.scale(row, Math.floor(k / this.group)));
  }

  bias(row: number): number {
    const { biasOffset } = this.ref;
    return biasOffset === undefined ? 0 : this.view.getFloat32(biasOffset + 4 * row, true);
  }

  /** The sum of code * weight along a row. */
  sum(row: number, codeAt: (k: number) => number): number {
    let sum = 0;
    for (let g = 0; g < this.groups; ++g) {
      let steps = 0;
      for (let k = g * this.group; k < Math.min((g + 1) * this.group, this.depth); ++k) {
        steps += codeAt(k) * this.levels[row * this.depth + k]!;
      }
      if (steps !== (steps | 0)) throw new Error(`the sum ${steps} of a group does not fit int32`);
      sum = fround(sum + fround(fround(steps) * this.scale(row, g)));
    }
    return sum;
  }
}

/** value = (sum - sum of zero points) * float32(s_in / s_out) + float32(bias / s_out), channel by channel. */
function storeSums(
  op: OpOf<OpKind.Conv2D | OpKind.Linear>,
  filter: LowBitFilter,
  input: ReferenceTensor,
  spec: TensorSpec,
  shape: readonly number[],
  weights: Int8Array,
  sums: readonly number[],
): ReferenceTensor {
  const channels = shape.at(-1)!;
  const outputScale = isFloat(spec) ? 1 : storeScale(spec, op.activation);
  const multiplier = fround(scaleOf(input.spec) / outputScale);
  const zeros = Array.from({ length: channels }, (_, n) => filter.sum(n, () => input.spec.zeroPoint));
  return store(spec, shape, op.activation, weights, (index) => {
    const n = index % channels;
    const scaled = fround(fround(sums[index]! - zeros[n]!) * multiplier);
    return fround(scaled + fround(filter.bias(n) / outputScale));
  });
}

export function lowBitLinear(
  op: OpOf<OpKind.Linear>,
  ref: LowBitFilterRef,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { inFeatures, outFeatures } = op;
  const filter = new LowBitFilter(ref, weights, outFeatures, inFeatures);
  const shape = [...input.shape.slice(0, -1), outFeatures];
  const sums: number[] = [];
  for (let first = 0; first < input.values.length; first += inFeatures) {
    for (let n = 0; n < outFeatures; ++n) sums.push(filter.sum(n, (k) => input.values[first + k]!));
  }
  return storeSums(op, filter, input, spec, shape, weights, sums);
}

export function lowBitConv2d(
  op: OpOf<OpKind.Conv2D>,
  ref: LowBitFilterRef,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const filter = new LowBitFilter(ref, weights, op.outChannels, op.inChannels);
  const [rows, columns] = windowAxes(op.window, input.shape);
  const shape = [input.shape[0]!, rows.output, columns.output, op.outChannels];
  const sums: number[] = [];
  for (const { batch, y, x, channel } of outputPositions(shape)) {
    const [row] = realTaps(rows, y);
    const [column] = realTaps(columns, x);
    const inside = row !== undefined && column !== undefined;
    const first = inside ? indexOf(input.shape, [batch, row.at, column.at, 0]) : 0;
    sums.push(filter.sum(channel, (k) => (inside ? input.values[first + k]! : input.spec.zeroPoint)));
  }
  return storeSums(op, filter, input, spec, shape, weights, sums);
}
