/**
 * Layers whose int8 activations get their scale and zero point from the values at hand: exact sums of products of codes,
 * and float32 operations on real values. Codes are from 0 to 255: x = (code - zero) * scale.
 */
import {
  type Activation,
  type FilterRef,
  Granularity,
  type Op,
  type OpKind,
  type TensorSpec,
} from '../../../src/program/program';
import { clamp, roundHalfToEven } from './requantize';
import { indexOf, makeTensor, type ReferenceTensor, sizeOf } from './tensor';
import { type Axis, outputPositions, windowAxes } from './window';

const fround = Math.fround;

const LARGEST = fround(3.4028234663852886e38) / 2;

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** What codes stand for. */
interface Group {
  readonly scale: number;
  /** scale * zero */
  readonly shift: number;
  /** The code of what lies around the input of a window. */
  readonly zero: number;
}

interface DynamicTensor extends ReferenceTensor {
  readonly groups: readonly Group[];
}

function sampleSize(shape: readonly number[]): number {
  return shape.length < 2 ? sizeOf(shape) : sizeOf(shape.slice(1));
}

/** The group of an element of a tensor, or of an output that is made of one with this granularity. */
function groupOf({ granularity }: TensorSpec, shape: readonly number[], index: number): number {
  const channels = shape.at(-1) ?? 1;
  const sample = Math.floor(index / sampleSize(shape));
  if (granularity === Granularity.Sample) return sample;
  return granularity === Granularity.Row
    ? Math.floor(index / channels)
    : sample * channels + (index % channels);
}

interface Range {
  readonly scale: number;
  readonly inverse: number;
  readonly zero: number;
}

/** Around 0, which is a code; infinities end at its ends. */
function rangeOf(values: readonly number[]): Range {
  const numbers = values.filter((value) => !Number.isNaN(value));
  const low = numbers.reduce((least, value) => Math.min(least, value), 0);
  const high = numbers.reduce((greatest, value) => Math.max(greatest, value), 0);
  const [first, last] = [Math.max(low, -LARGEST), Math.min(high, LARGEST)];
  const width = fround(last - first);
  if (width < fround(1e-30)) return { scale: 1, inverse: 0, zero: 0 };
  const inverse = fround(255 / width);
  const zero = roundHalfToEven(Math.min(fround(-first * inverse), 255));
  return { scale: fround(width / 255), inverse, zero };
}

const codeOf = (x: number, { inverse, zero }: Range) =>
  roundHalfToEven(clamp(fround(fround(x * inverse) + zero), 0, 255));

/** Codes of a range for each group. */
export function quantizeDynamic(input: ReferenceTensor, spec: TensorSpec): DynamicTensor {
  const { shape, values } = input;
  const members: number[][] = [];
  for (const [index, value] of values.entries()) {
    const group = groupOf(spec, shape, index);
    members[group] ??= [];
    members[group].push(value);
  }
  const ranges = members.map(rangeOf);
  const codes = values.map((value, index) => codeOf(value, ranges[groupOf(spec, shape, index)]!));
  const groups = ranges.map(({ scale, zero }) => ({ scale, shift: fround(scale * zero), zero }));
  return { ...makeTensor(spec, shape, codes), groups };
}

/** Codes k of values first + step * k. */
export function quantizeGrid(
  { grid }: OpOf<OpKind.QuantizeGrid>,
  input: ReferenceTensor,
  spec: TensorSpec,
): DynamicTensor {
  const [first, step] = [fround(grid.first), fround(grid.step)];
  const range = { inverse: fround(1 / step), zero: clamp(fround(-first / step), 0, 255) };
  const codes = input.values.map((value) => codeOf(value, { scale: step, ...range }));
  const group = { scale: step, shift: -first, zero: roundHalfToEven(range.zero) };
  const samples = input.values.length / sampleSize(input.shape);
  return { ...makeTensor(spec, input.shape, codes), groups: Array(samples).fill(group) };
}

/**
 * value = float32(sum) * scale[c] * scale of the group + (bias[c] - shift of the group * (scale[c] * float32(sum of weights)))
 *
 * @param weightAt index of weight `tap` of output channel `channel` in the filter's own order
 */
function storeSums(
  op: { readonly filter: FilterRef; readonly activation: Activation },
  input: ReferenceTensor,
  spec: TensorSpec,
  shape: readonly number[],
  weights: Int8Array,
  taps: number,
  weightAt: (channel: number, tap: number) => number,
  sums: readonly number[],
): ReferenceTensor {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const { filterOffset, biasOffset, scaleOffset } = op.filter;
  const channels = Array.from({ length: shape.at(-1)! }, (_, c) => {
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) sum += weights[filterOffset + weightAt(c, tap)]!;
    const scale = view.getFloat32(scaleOffset + 4 * c, true);
    const bias = biasOffset === undefined ? 0 : view.getFloat32(biasOffset + 4 * c, true);
    return { scale, bias, weightSum: fround(scale * fround(sum)) };
  });
  const { floatMin = Number.NEGATIVE_INFINITY, floatMax = Number.POSITIVE_INFINITY } = op.activation;
  const { groups } = input as DynamicTensor;
  const values = sums.map((sum, index) => {
    if (sum !== (sum | 0)) throw new Error(`sum ${sum} does not fit int32`);
    const { scale, bias, weightSum } = channels[index % channels.length]!;
    const group = groups[groupOf(input.spec, shape, index)]!;
    const product = fround(fround(fround(sum) * scale) * group.scale);
    const offset = fround(bias - fround(group.shift * weightSum));
    return clamp(fround(product + offset), fround(floatMin), fround(floatMax));
  });
  return makeTensor(spec, shape, values);
}

/** Every tap of a window, and the input coordinate below it, which may lie outside. */
function allTaps({ kernel, stride, before, dilation }: Axis, output: number): { tap: number; at: number }[] {
  return Array.from({ length: kernel }, (_, tap) => ({ tap, at: output * stride - before + tap * dilation }));
}

/** The code of a channel of a pixel, or of what lies around its image. */
function codeAt(input: ReferenceTensor, batch: number, y: number, x: number, channel: number): number {
  const { spec, shape, values } = input;
  const inside = y >= 0 && x >= 0 && y < shape[1]! && x < shape[2]!;
  if (inside) return values[indexOf(shape, [batch, y, x, channel])]!;
  const group = groupOf(spec, shape, indexOf(shape, [batch, 0, 0, channel]));
  return (input as DynamicTensor).groups[group]!.zero;
}

export function dynamicConv2d(
  op: OpOf<OpKind.Conv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const [rows, columns] = windowAxes(op.window, input.shape);
  const [groupInputs, groupOutputs] = [op.inChannels / op.groups, op.outChannels / op.groups];
  const taps = rows.kernel * columns.kernel * groupInputs;
  const shape = [input.shape[0]!, rows.output, columns.output, op.outChannels];
  const sums = Array.from(outputPositions(shape), ({ batch, y, x, channel }) => {
    const first = Math.floor(channel / groupOutputs) * groupInputs;
    let sum = 0;
    let at = op.filter.filterOffset + channel * taps;
    for (const row of allTaps(rows, y)) {
      for (const column of allTaps(columns, x)) {
        for (let k = first; k < first + groupInputs; k++) {
          sum += codeAt(input, batch, row.at, column.at, k) * weights[at++]!;
        }
      }
    }
    return sum;
  });
  return storeSums(op, input, spec, shape, weights, taps, (c, tap) => c * taps + tap, sums);
}

export function dynamicDepthwise(
  op: OpOf<OpKind.DepthwiseConv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { channels } = op;
  const [rows, columns] = windowAxes(op.window, input.shape);
  const shape = [input.shape[0]!, rows.output, columns.output, channels];
  const sums = Array.from(outputPositions(shape), ({ batch, y, x, channel }) => {
    let sum = 0;
    for (const row of allTaps(rows, y)) {
      for (const column of allTaps(columns, x)) {
        const tap = row.tap * columns.kernel + column.tap;
        const weight = weights[op.filter.filterOffset + tap * channels + channel]!;
        sum += codeAt(input, batch, row.at, column.at, channel) * weight;
      }
    }
    return sum;
  });
  const taps = rows.kernel * columns.kernel;
  return storeSums(op, input, spec, shape, weights, taps, (c, tap) => tap * channels + c, sums);
}

export function dynamicLinear(
  op: OpOf<OpKind.Linear>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { inFeatures, outFeatures } = op;
  const shape = [...input.shape.slice(0, -1), outFeatures];
  const sums = Array.from({ length: sizeOf(shape) }, (_, index) => {
    const [row, channel] = [Math.floor(index / outFeatures), index % outFeatures];
    const first = op.filter.filterOffset + channel * inFeatures;
    let sum = 0;
    for (let k = 0; k < inFeatures; k++) sum += input.values[row * inFeatures + k]! * weights[first + k]!;
    return sum;
  });
  return storeSums(op, input, spec, shape, weights, inFeatures, (c, tap) => c * inFeatures + tap, sums);
}
