/** Ops with a filter: sums of products in exact integers, one float32 multiplication per output element. */
import {
  type Activation,
  type Int8FilterRef,
  type LowBitFilterRef,
  type Op,
  type OpKind,
  PaddingMode,
  type TensorSpec,
  WeightFormat,
} from '../../../src/program/program';
import { lowBitConv2d, lowBitLinear } from './low-bit';
import { store, storeScale } from './requantize';
import { indexOf, isFloat, type ReferenceTensor, scaleOf, sizeOf } from './tensor';
import { outputPositions, realTaps, windowAxes } from './window';

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** Bias and scales of an int8 filter, and its weights. */
interface Filter {
  readonly weight: (index: number) => number;
  readonly bias: (channel: number) => number;
  readonly scale: (channel: number) => number;
}

function readFilter(ref: Int8FilterRef, weights: Int8Array): Filter {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const { filterOffset, biasOffset, scaleOffset } = ref;
  return {
    weight: (index) => weights[filterOffset + index]!,
    bias: (channel) => (biasOffset === undefined ? 0 : view.getInt32(biasOffset + 4 * channel, true)),
    scale: (channel) => view.getFloat32(scaleOffset + 4 * channel, true),
  };
}

/** Turns accumulators into the output: accumulator * float32(s_in * s_w[channel] / s_out). */
function storeAccumulators(
  op: { activation: Activation },
  filter: Filter,
  input: ReferenceTensor,
  spec: TensorSpec,
  shape: readonly number[],
  weights: Int8Array,
  accumulators: readonly number[],
): ReferenceTensor {
  const channels = shape.at(-1)!;
  const inputScale = scaleOf(input.spec);
  const outputScale = isFloat(spec) ? 1 : storeScale(spec, op.activation);
  return store(spec, shape, op.activation, weights, (index) => {
    const channel = index % channels;
    const accumulator = accumulators[index]! + filter.bias(channel);
    if (accumulator !== (accumulator | 0)) throw new Error(`accumulator ${accumulator} does not fit int32`);
    const multiplier = Math.fround((inputScale * filter.scale(channel)) / outputScale);
    return Math.fround(Math.fround(accumulator) * multiplier);
  });
}

export function conv2d(
  op: OpOf<OpKind.Conv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { filter: ref } = op;
  if (ref.format !== WeightFormat.Int8) return lowBitConv2d(op, ref as LowBitFilterRef, input, spec, weights);
  const filter = readFilter(ref, weights);
  const [rows, columns] = windowAxes(op.window, input.shape);
  const groupInputs = op.inChannels / op.groups;
  const groupOutputs = op.outChannels / op.groups;
  const shape = [input.shape[0]!, rows.output, columns.output, op.outChannels];
  const accumulators: number[] = [];
  for (const { batch, y, x, channel } of outputPositions(shape)) {
    const firstInput = Math.floor(channel / groupOutputs) * groupInputs;
    let sum = 0;
    for (const row of realTaps(rows, y)) {
      for (const column of realTaps(columns, x)) {
        const inputAt = indexOf(input.shape, [batch, row.at, column.at, firstInput]);
        const filterAt = ((channel * rows.kernel + row.tap) * columns.kernel + column.tap) * groupInputs;
        for (let k = 0; k < groupInputs; ++k) {
          sum += (input.values[inputAt + k]! - input.spec.zeroPoint) * filter.weight(filterAt + k);
        }
      }
    }
    accumulators.push(sum);
  }
  return storeAccumulators(op, filter, input, spec, shape, weights, accumulators);
}

export function depthwiseConv2d(
  op: OpOf<OpKind.DepthwiseConv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const filter = readFilter(op.filter as Int8FilterRef, weights);
  const [rows, columns] = windowAxes(op.window, input.shape);
  const outChannels = op.channels * op.multiplier;
  const shape = [input.shape[0]!, rows.output, columns.output, outChannels];
  const accumulators: number[] = [];
  for (const { batch, y, x, channel } of outputPositions(shape)) {
    const inputChannel = Math.floor(channel / op.multiplier);
    let sum = 0;
    for (const row of realTaps(rows, y)) {
      for (const column of realTaps(columns, x)) {
        const code = input.values[indexOf(input.shape, [batch, row.at, column.at, inputChannel])]!;
        const filterAt = (row.tap * columns.kernel + column.tap) * outChannels + channel;
        sum += (code - input.spec.zeroPoint) * filter.weight(filterAt);
      }
    }
    accumulators.push(sum);
  }
  return storeAccumulators(op, filter, input, spec, shape, weights, accumulators);
}

/** Every input pixel adds its products to the outputs that a convolution of these would read for it. */
export function transposedConv2d(
  op: OpOf<OpKind.TransposedConv2D>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const filter = readFilter(op.filter, weights);
  const { inChannels, outChannels } = op;
  const [batch, height, width] = input.shape as [number, number, number];
  const shape = [batch, ...transposedSize(op, height, width), outChannels];
  const [rows, columns] = windowAxes(op.window, shape);
  const accumulators: number[] = Array(sizeOf(shape)).fill(0);
  for (const { batch: b, y, x, channel: k } of outputPositions(input.shape)) {
    const steps = input.values[indexOf(input.shape, [b, y, x, k])]! - input.spec.zeroPoint;
    for (const row of realTaps(rows, y)) {
      for (const column of realTaps(columns, x)) {
        const at = indexOf(shape, [b, row.at, column.at, 0]);
        for (let n = 0; n < outChannels; ++n) {
          const tap = (n * rows.kernel + row.tap) * columns.kernel + column.tap;
          accumulators[at + n]! += steps * filter.weight(tap * inChannels + k);
        }
      }
    }
  }
  return storeAccumulators(op, filter, input, spec, shape, weights, accumulators);
}

/** Height and width of the output: those asked for, or the smallest ones that give the input without a rest. */
export function transposedSize(
  { window, outputSize }: Pick<OpOf<OpKind.TransposedConv2D>, 'window' | 'outputSize'>,
  height: number,
  width: number,
): [number, number] {
  const { kernel, strides, padding } = window;
  const { mode, top = 0, bottom = 0, left = 0, right = 0 } = padding;
  const explicit = mode === PaddingMode.Explicit ? [top + bottom, left + right] : [0, 0];
  const extent = (axis: 0 | 1, input: number) =>
    mode === PaddingMode.Same
      ? input * strides[axis]
      : (input - 1) * strides[axis] + kernel[axis] - explicit[axis]!;
  return [outputSize[0] || extent(0, height), outputSize[1] || extent(1, width)];
}

export function linear(
  op: OpOf<OpKind.Linear>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { filter: ref } = op;
  if (ref.format !== WeightFormat.Int8) return lowBitLinear(op, ref as LowBitFilterRef, input, spec, weights);
  const filter = readFilter(ref, weights);
  const shape = [...input.shape.slice(0, -1), op.outFeatures];
  const rowCount = input.values.length / op.inFeatures;
  const accumulators: number[] = [];
  for (let row = 0; row < rowCount; ++row) {
    for (let output = 0; output < op.outFeatures; ++output) {
      let sum = 0;
      for (let k = 0; k < op.inFeatures; ++k) {
        const code = input.values[row * op.inFeatures + k]!;
        sum += (code - input.spec.zeroPoint) * filter.weight(output * op.inFeatures + k);
      }
      accumulators.push(sum);
    }
  }
  return storeAccumulators(op, filter, input, spec, shape, weights, accumulators);
}
