/** Random programs of layers whose int8 activations are quantized by the values at hand. */
import {
  type Activation,
  Granularity,
  type Int8FilterRef,
  OpKind,
  PaddingMode,
  TensorType,
  WeightFormat,
  type Window,
} from '../../src/program/program';
import { sizeOf } from '../kernels/reference/tensor';
import { FLOAT32, type OpDraft, type OutputSpec } from './case-builder';
import type { Drawer } from './draw';
import type { Random } from './random';
import type { Series } from './series';

const { Sample, Row, Channel } = Granularity;

const dynamic = (granularity: Granularity): OutputSpec => ({
  type: TensorType.DynamicInt8,
  scale: 1,
  zeroPoint: 0,
  granularity,
});

/** Ordinary images, those of few channels, and channels around the widths of vectors. */
function imageShape(random: Random): number[] {
  const channels = random.pick([3, random.int(1, 20), 8 * random.int(1, 9) + random.int(-1, 1)]);
  return [random.int(1, 4), random.int(1, 9), random.int(1, 9), channels];
}

/** Values that no range can hold, or that are too near for one. */
const ODD = [
  0,
  -0,
  1e-45,
  1e-38,
  3e38,
  -3e38,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

/** One kind of values: of any sign, of one, of huge or tiny magnitude, all zero, or odd ones among them. */
function drawKind(random: Random): () => number {
  const magnitude = 10 ** random.int(-3, 3);
  const ordinary = () => random.real(-magnitude, magnitude);
  return random.pick([
    ordinary,
    ordinary,
    () => random.real(0, magnitude),
    () => random.real(-2 * magnitude, -magnitude),
    () => (random.chance(0.1) ? random.pick(ODD) : ordinary()),
    () => random.real(-3e38, 3e38),
    () => random.real(-1e-30, 1e-30),
    () => random.pick([-0, 0]),
  ]);
}

/** Real values, each sample of a kind of its own; a channel may be of another. */
function floats({ builder }: Drawer, random: Random, shape: readonly number[]): number {
  const channels = shape.at(-1)!;
  const size = shape.length < 2 ? sizeOf(shape) : sizeOf(shape.slice(1));
  const values = new Float32Array(sizeOf(shape));
  for (let start = 0; start < values.length; start += size) {
    const kind = drawKind(random);
    const kinds = Array.from({ length: channels }, () => (random.chance(0.1) ? drawKind(random) : kind));
    for (let i = 0; i < size; i++) values[start + i] = kinds[i % channels]!();
  }
  return builder.floats(shape, values);
}

/** Values of a grid around zero, with a few beside it and beyond its ends. */
function gridCodes({ builder }: Drawer, random: Random, shape: readonly number[]): number {
  const step = 2 ** random.real(-10, 3);
  const first = -step * random.pick([0, 127.5, 128, 255, random.real(0, 255)]);
  const values = Float32Array.from({ length: sizeOf(shape) }, () => {
    if (random.chance(0.05)) return random.pick(ODD);
    return first + step * (random.chance(0.9) ? random.int(0, 255) : random.real(-30, 300));
  });
  const inputs = [builder.floats(shape, values)];
  return builder.apply({ kind: OpKind.QuantizeGrid, inputs, grid: { first, step } }, dynamic(Sample));
}

function codes(drawer: Drawer, random: Random, shape: readonly number[], granularity: Granularity): number {
  if (granularity === Sample && random.chance(0.3)) return gridCodes(drawer, random, shape);
  const inputs = [floats(drawer, random, shape)];
  return drawer.builder.apply({ kind: OpKind.QuantizeDynamic, inputs }, dynamic(granularity));
}

const clamp = (random: Random): Activation =>
  random.pick([{}, {}, { floatMin: 0 }, { floatMin: 0, floatMax: 6 }, { floatMin: -1, floatMax: 0.5 }]);

/** Of any weights, or of the ends alone, so that sums are the largest there are. */
function filter({ builder }: Drawer, random: Random, channels: number, taps: number): Int8FilterRef {
  const extreme = random.chance(0.3);
  const weight = () => (extreme ? random.pick([-127, 127]) : random.int(-127, 127));
  const floats = (low: number, high: number) =>
    Float32Array.from({ length: channels }, () => random.real(low, high));
  return {
    filterOffset: builder.weights.append(Int8Array.from({ length: channels * taps }, weight)),
    ...(random.chance(0.8) && { biasOffset: builder.weights.append(floats(-9, 9)) }),
    scaleOffset: builder.weights.append(floats(1e-5, 1e-1)),
    format: WeightFormat.Int8,
  };
}

function convWindow(drawer: Drawer, random: Random, shape: readonly number[]): Window {
  const mode = random.pick([PaddingMode.Valid, PaddingMode.Same, PaddingMode.Explicit]);
  return random.chance(0.3)
    ? { kernel: [1, 1], strides: [1, 1], padding: { mode } }
    : drawer.window(shape, false);
}

/** Whether each pixel makes one of the output. */
function isPointwise({ kernel, strides, padding }: Window): boolean {
  const { top = 0, bottom = 0, left = 0, right = 0 } = padding;
  return [...kernel, ...strides].every((size) => size === 1) && top + bottom + left + right === 0;
}

export function drawDynamicConv2D(
  drawer: Drawer,
  random: Random,
  shape = imageShape(random),
  window = convWindow(drawer, random, shape),
): number {
  const inChannels = shape[3]!;
  const groups = random.chance(0.8) ? 1 : inChannels;
  const outChannels = groups * (groups > 1 ? random.int(1, 2) : random.int(1, 40));
  const taps = (window.kernel[0] * window.kernel[1] * inChannels) / groups;
  const granularity = isPointwise(window) ? random.pick([Row, Sample]) : Sample;
  const inputs = [codes(drawer, random, shape, granularity)];
  const draft: OpDraft = {
    kind: OpKind.Conv2D,
    inputs,
    filter: filter(drawer, random, outChannels, taps),
    inChannels,
    outChannels,
    groups,
    window,
    activation: clamp(random),
  };
  return drawer.builder.apply(draft, FLOAT32);
}

export function drawDynamicDepthwise(drawer: Drawer, random: Random, shape = imageShape(random)): number {
  const channels = shape[3]!;
  const window = drawer.window(shape, false);
  const inputs = [codes(drawer, random, shape, Channel)];
  const draft: OpDraft = {
    kind: OpKind.DepthwiseConv2D,
    inputs,
    filter: filter(drawer, random, channels, window.kernel[0] * window.kernel[1]),
    channels,
    multiplier: 1,
    window,
    activation: clamp(random),
  };
  return drawer.builder.apply(draft, FLOAT32);
}

function rowsShape(random: Random): number[] {
  return [...Array.from({ length: random.int(0, 3) }, () => random.int(1, 5)), random.int(1, 300)];
}

export function drawDynamicLinear(drawer: Drawer, random: Random, shape = rowsShape(random)): number {
  const [inFeatures, outFeatures] = [shape.at(-1)!, random.pick([random.int(1, 40), random.int(1, 300)])];
  const inputs = [codes(drawer, random, shape, Row)];
  const draft: OpDraft = {
    kind: OpKind.Linear,
    inputs,
    filter: filter(drawer, random, outFeatures, inFeatures),
    inFeatures,
    outFeatures,
    activation: clamp(random),
  };
  return drawer.builder.apply(draft, FLOAT32);
}

export const DYNAMIC_SERIES: readonly Series[] = [
  { label: 'Conv2D of dynamic codes', draw: drawDynamicConv2D },
  { label: 'DepthwiseConv2D of dynamic codes', draw: drawDynamicDepthwise },
  { label: 'Linear of dynamic codes', draw: drawDynamicLinear },
];
