/** Layers with int16 activations: exact sums of int16 products, and float32 operations on real values. */
import {
  type Activation,
  type BinaryKind,
  type FilterRef,
  FloatFunctionKind,
  type Op,
  OpKind,
  type TensorSpec,
  WeightFormat,
} from '../../../src/program/program';
import { broadcastShape, broadcastStrides } from './elementwise';
import { expOfNonPositive } from './softmax';
import { indexOf, makeTensor, positions, type ReferenceTensor, sizeOf } from './tensor';
import { outputPositions, realTaps, windowAxes } from './window';

const fround = Math.fround;

const MAX_CODE = 32767;

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** Comparisons with NaN fail: it ends at the lower bound. */
function clampFloat(
  value: number,
  { floatMin = Number.NEGATIVE_INFINITY, floatMax = Number.POSITIVE_INFINITY },
) {
  const above = value > fround(floatMin) ? value : fround(floatMin);
  return above < fround(floatMax) ? above : fround(floatMax);
}

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** An entry of the first axis, which has a scale of its own. */
function sampleSize(shape: readonly number[]): number {
  return shape.length < 2 ? sizeOf(shape) : sizeOf(shape.slice(1));
}

/** code = rint(x * float32(32767 / max |x|)); scale = float32(max |x| / 32767), kept in `unrounded`, one a sample. */
export function quantizeInt16(input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const size = sampleSize(input.shape);
  const codes: number[] = [];
  const scales: number[] = [];
  for (let start = 0; start < input.values.length; start += size) {
    const sample = input.values.slice(start, start + size);
    const magnitudes = sample.map(Math.abs).filter((magnitude) => !Number.isNaN(magnitude));
    const most = Math.min(Math.max(0, ...magnitudes), fround(3.4028234663852886e38));
    const zero = most < fround(1e-30);
    const inverse = fround(MAX_CODE / most);
    scales.push(zero ? 1 : fround(most / MAX_CODE));
    for (const x of sample) {
      const bounds = { floatMin: -MAX_CODE, floatMax: MAX_CODE };
      codes.push(zero ? 0 : roundHalfToEven(clampFloat(fround(x * inverse), bounds)));
    }
  }
  return makeTensor(spec, input.shape, codes, scales);
}

/** float32(sum) * float32(scale of the sample * scale[c]) + bias[c], clamped. */
function storeSums(
  filter: FilterRef,
  activation: Activation,
  input: ReferenceTensor,
  spec: TensorSpec,
  shape: readonly number[],
  weights: Int8Array,
  sums: readonly number[],
): ReferenceTensor {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const channels = shape.at(-1)!;
  const size = sampleSize(shape);
  const values = sums.map((sum, index) => {
    const c = index % channels;
    const scale = view.getFloat32(filter.scaleOffset + 4 * c, true);
    const bias = filter.biasOffset === undefined ? 0 : view.getFloat32(filter.biasOffset + 4 * c, true);
    const multiplier = fround(input.unrounded[Math.floor(index / size)]! * scale);
    if (sum !== (sum | 0)) throw new Error(`sum ${sum} does not fit int32`);
    return clampFloat(fround(fround(fround(sum) * multiplier) + bias), activation);
  });
  return makeTensor(spec, shape, values);
}

/** @param channel the output channel of a weight */
function weightReader(
  filter: FilterRef,
  weights: Int8Array,
  channel: (index: number) => number,
): (index: number) => number {
  const { filterOffset } = filter;
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  if (filter.format !== WeightFormat.OffsetInt8)
    return (index) => view.getInt16(filterOffset + 2 * index, true);
  const zeroPoint = (c: number) => view.getInt16(filter.zeroPointOffset + 2 * c, true);
  return (index) => view.getInt8(filterOffset + index) - zeroPoint(channel(index));
}

export function int16Conv2d(
  op: OpOf<OpKind.Conv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const depth = op.window.kernel[0] * op.window.kernel[1] * op.inChannels;
  const weight = weightReader(op.filter, weights, (index) => Math.floor(index / depth));
  const [rows, columns] = windowAxes(op.window, input.shape);
  const shape = [input.shape[0]!, rows.output, columns.output, op.outChannels];
  const sums = Array.from(outputPositions(shape), ({ batch, y, x, channel }) => {
    let sum = 0;
    for (const row of realTaps(rows, y)) {
      for (const column of realTaps(columns, x)) {
        const from = indexOf(input.shape, [batch, row.at, column.at, 0]);
        const at = ((channel * rows.kernel + row.tap) * columns.kernel + column.tap) * op.inChannels;
        for (let k = 0; k < op.inChannels; k++) sum += input.values[from + k]! * weight(at + k);
      }
    }
    return sum;
  });
  return storeSums(op.filter, op.activation, input, spec, shape, weights, sums);
}

export function int16Depthwise(
  op: OpOf<OpKind.DepthwiseConv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const weight = weightReader(op.filter, weights, (index) => index % op.channels);
  const [rows, columns] = windowAxes(op.window, input.shape);
  const shape = [input.shape[0]!, rows.output, columns.output, op.channels];
  const sums = Array.from(outputPositions(shape), ({ batch, y, x, channel }) => {
    let sum = 0;
    for (const row of realTaps(rows, y)) {
      for (const column of realTaps(columns, x)) {
        const code = input.values[indexOf(input.shape, [batch, row.at, column.at, channel])]!;
        sum += code * weight((row.tap * columns.kernel + column.tap) * op.channels + channel);
      }
    }
    return sum;
  });
  return storeSums(op.filter, op.activation, input, spec, shape, weights, sums);
}

export function int16Linear(
  op: OpOf<OpKind.Linear>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const weight = weightReader(op.filter, weights, (index) => Math.floor(index / op.inFeatures));
  const { inFeatures, outFeatures } = op;
  const shape = [...input.shape.slice(0, -1), outFeatures];
  const sums = Array.from({ length: sizeOf(shape) }, (_, index) => {
    const [row, channel] = [Math.floor(index / outFeatures), index % outFeatures];
    let sum = 0;
    for (let k = 0; k < inFeatures; k++) {
      sum += input.values[row * inFeatures + k]! * weight(channel * inFeatures + k);
    }
    return sum;
  });
  return storeSums(op.filter, op.activation, input, spec, shape, weights, sums);
}

const COMBINE: Readonly<Record<BinaryKind, (a: number, b: number) => number>> = {
  [OpKind.Add]: (a, b) => fround(a + b),
  [OpKind.Sub]: (a, b) => fround(a - b),
  [OpKind.Mul]: (a, b) => fround(a * b),
  [OpKind.Maximum]: (a, b) => (a > b ? a : b),
  [OpKind.Minimum]: (a, b) => (a < b ? a : b),
};

export function floatBinary(
  op: { kind: BinaryKind; activation: Activation },
  a: ReferenceTensor,
  b: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const shape = broadcastShape(a.shape, b.shape);
  const [stridesA, stridesB] = [a, b].map((t) => broadcastStrides(t.shape, shape.length));
  const at = (position: readonly number[], strides: readonly number[]) =>
    position.reduce((sum, p, axis) => sum + p * strides[axis]!, 0);
  const values = Array.from(positions(shape), (position) =>
    clampFloat(
      COMBINE[op.kind](a.values[at(position, stridesA!)]!, b.values[at(position, stridesB!)]!),
      op.activation,
    ),
  );
  return makeTensor(spec, shape, values);
}

function readFloats(weights: Int8Array, offset: number): (index: number) => number {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  return (index) => view.getFloat32(offset + 4 * index, true);
}

/** x * a[c] + b[c], clamped, or x times that. */
export function floatAffine(
  op: OpOf<OpKind.FloatAffine | OpKind.FloatGate>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const [a, b] = [readFloats(weights, op.aOffset), readFloats(weights, op.bOffset)];
  const values = input.values.map((x, i) => {
    const c = i % op.channels;
    const clamped = clampFloat(fround(fround(x * a(c)) + b(c)), op);
    return op.kind === OpKind.FloatGate ? fround(x * clamped) : clamped;
  });
  return makeTensor(spec, input.shape, values);
}

/** max(x, 0) + min(x, 0) * alpha[c] */
export function floatPrelu(
  op: OpOf<OpKind.Prelu>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const alpha = readFloats(weights, op.alphaOffset);
  const values = input.values.map((x, i) =>
    fround(Math.max(x, 0) + fround(Math.min(x, 0) * alpha(i % op.channels))),
  );
  return makeTensor(spec, input.shape, values);
}

function sigmoid(x: number): number {
  const e = expOfNonPositive(-Math.abs(x));
  return fround((x < 0 ? e : 1) / fround(1 + e));
}

const FUNCTIONS: Readonly<Record<FloatFunctionKind, (x: number) => number>> = {
  [FloatFunctionKind.Sigmoid]: sigmoid,
  [FloatFunctionKind.Tanh]: (x) => {
    const e = expOfNonPositive(fround(-Math.abs(x) * 2));
    return fround(fround(1 - e) / fround(1 + e)) * (x < 0 ? -1 : 1);
  },
  [FloatFunctionKind.Elu]: (x) => (x < 0 ? fround(expOfNonPositive(x) - 1) : x),
  [FloatFunctionKind.Abs]: Math.abs,
  [FloatFunctionKind.Swish]: (x) => fround(x * sigmoid(x)),
};

export function floatFunction(
  op: OpOf<OpKind.FloatFunction>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  return makeTensor(spec, input.shape, input.values.map(FUNCTIONS[op.function]));
}

/** The largest of the real elements of every window, or their sum, row by row, times float32(1 / count). */
export function floatPool(
  op: OpOf<OpKind.MaxPool | OpKind.AvgPool>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const [rows, columns] = windowAxes(op.window, input.shape);
  const shape = [input.shape[0]!, rows.output, columns.output, input.shape[3]!];
  const values = Array.from(outputPositions(shape), ({ batch, y, x, channel }) => {
    const window = realTaps(rows, y).flatMap((row) =>
      realTaps(columns, x).map(
        (column) => input.values[indexOf(input.shape, [batch, row.at, column.at, channel])]!,
      ),
    );
    if (op.kind === OpKind.MaxPool) return clampFloat(Math.max(...window), op.activation);
    const sum = window.reduce((total, value) => fround(total + value), 0);
    return clampFloat(fround(sum * fround(1 / Math.max(window.length, 1))), op.activation);
  });
  return makeTensor(spec, shape, values);
}
