/** Random programs of the ops that layers with int16 activations are made of. */
import {
  type Activation,
  type BinaryKind,
  FloatFunctionKind,
  type Int16FilterRef,
  type OffsetInt8FilterRef,
  OpKind,
  PaddingMode,
  PadMode,
  TensorType,
  WeightFormat,
  type Window,
} from '../../src/program/program';
import { sizeOf } from '../kernels/reference/tensor';
import { FLOAT32, type OpDraft, type OutputSpec } from './case-builder';
import type { Drawer } from './draw';
import type { Random } from './random';
import type { Series } from './series';

const INT16: OutputSpec = { type: TensorType.Int16, scale: 1, zeroPoint: 0 };

const MAX_SUM = 65536;

const imageShape = (random: Random): number[] => [
  random.int(1, 3),
  random.int(1, 9),
  random.int(1, 9),
  random.chance(0.5) ? random.int(1, 20) : random.int(1, 70),
];

/** Real values of very different magnitude; the extremes, infinities and NaN too, now and then. */
function floats(drawer: Drawer, random: Random, shape: readonly number[]): number {
  const magnitude = 10 ** random.int(-3, 3);
  const extremes = [0, -0, 1e30, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  const odd = random.chance(0.2) ? extremes : [0, 1];
  const allZero = random.chance(0.05);
  const values = Float32Array.from({ length: sizeOf(shape) }, () => {
    if (allZero) return 0;
    return random.chance(0.05) ? random.pick(odd) : random.real(-magnitude, magnitude);
  });
  return drawer.builder.floats(shape, values);
}

/** The same without infinities, whose sums are NaN. */
function finiteReals(drawer: Drawer, random: Random, shape: readonly number[]): number {
  const magnitude = 10 ** random.int(-3, 3);
  const values = Float32Array.from({ length: sizeOf(shape) }, () => random.real(-magnitude, magnitude));
  return drawer.builder.floats(shape, values);
}

const clamp = (random: Random): Activation =>
  random.chance(0.5)
    ? {}
    : random.pick([{ floatMin: 0 }, { floatMin: 0, floatMax: 6 }, { floatMin: -1, floatMax: 0.5 }]);

function int16Input(drawer: Drawer, random: Random, shape: readonly number[]): number {
  const input = floats(drawer, random, shape);
  return drawer.builder.apply({ kind: OpKind.QuantizeInt16, inputs: [input] }, INT16);
}

/**
 * Weights as large as the sums allow, half of the time all of them, and some of them in 8 bits; one a tap and channel, or
 * [channel][tap].
 */
function filter(
  { builder }: Drawer,
  random: Random,
  channels: number,
  taps: number,
  at: (channel: number, tap: number) => number,
): Int16FilterRef | OffsetInt8FilterRef {
  const most = Math.min(32767, Math.floor(MAX_SUM / taps));
  const extreme = random.chance(0.3);
  const codes = new Int16Array(channels * taps);
  for (let c = 0; c < channels; c++) {
    for (let t = 0; t < taps; t++) {
      codes[at(c, t)] = extreme ? most * random.pick([-1, 1]) : random.int(-most, most);
    }
  }
  const real = (low: number, high: number) =>
    Float32Array.from({ length: channels }, () => random.real(low, high));
  const place = {
    ...(random.chance(0.8) && { biasOffset: builder.weights.append(real(-9, 9)) }),
    scaleOffset: builder.weights.append(real(1e-5, 1e-3)),
  };
  if (random.chance(0.5))
    return { ...place, filterOffset: builder.weights.append(codes), format: WeightFormat.Int16 };
  const narrow = new Int8Array(codes.length);
  // |code - zero point| is at most |zero point| + 128.
  const room = Math.min(32767 - 128, most - 128);
  const zeroPoints = new Int16Array(channels).map(() => (room > 0 ? random.int(-room, room) : 0));
  const bound = Math.min(127, most);
  for (let i = 0; i < narrow.length; i++)
    narrow[i] = room > 0 ? random.int(-128, 127) : random.int(-bound, bound);
  return {
    ...place,
    filterOffset: builder.weights.append(narrow),
    zeroPointOffset: builder.weights.append(zeroPoints),
    format: WeightFormat.OffsetInt8,
  };
}

function drawConv2D(drawer: Drawer, random: Random): number {
  const shape = imageShape(random);
  const [inChannels, outChannels] = [shape[3]!, random.chance(0.5) ? random.int(1, 20) : random.int(1, 50)];
  const point = random.chance(0.4);
  const window: Window = point
    ? { kernel: [1, 1], strides: [1, 1], padding: { mode: PaddingMode.Valid } }
    : drawer.window(shape, false);
  const taps = window.kernel[0] * window.kernel[1] * inChannels;
  const inputs = [int16Input(drawer, random, shape)];
  const draft: OpDraft = {
    kind: OpKind.Conv2D,
    inputs,
    filter: filter(drawer, random, outChannels, taps, (c, t) => c * taps + t),
    inChannels,
    outChannels,
    groups: 1,
    window,
    activation: clamp(random),
  };
  return drawer.builder.apply(draft, FLOAT32);
}

function drawDepthwise(drawer: Drawer, random: Random): number {
  const shape = imageShape(random);
  const channels = shape[3]!;
  const window = drawer.window(shape, false);
  const taps = window.kernel[0] * window.kernel[1];
  const inputs = [int16Input(drawer, random, shape)];
  const draft: OpDraft = {
    kind: OpKind.DepthwiseConv2D,
    inputs,
    filter: filter(drawer, random, channels, taps, (c, t) => t * channels + c),
    channels,
    multiplier: 1,
    window,
    activation: clamp(random),
  };
  return drawer.builder.apply(draft, FLOAT32);
}

function drawLinear(drawer: Drawer, random: Random): number {
  const shape = Array.from({ length: random.int(1, 4) }, () => random.int(1, 5));
  shape[shape.length - 1] = random.int(1, 300);
  const [inFeatures, outFeatures] = [shape.at(-1)!, random.int(1, 40)];
  const inputs = [int16Input(drawer, random, shape)];
  const draft: OpDraft = {
    kind: OpKind.Linear,
    inputs,
    filter: filter(drawer, random, outFeatures, inFeatures, (c, t) => c * inFeatures + t),
    inFeatures,
    outFeatures,
    activation: clamp(random),
  };
  return drawer.builder.apply(draft, FLOAT32);
}

function drawBinary(drawer: Drawer, random: Random): number {
  const whole = imageShape(random);
  const parts = () => whole.map((dim) => (random.chance(0.6) ? dim : 1)).slice(random.pick([0, 0, 1, 3]));
  const shape = random.chance(0.7) ? whole : parts();
  const other = random.pick([shape, [whole[0]!, 1, 1, whole[3]!], [1], parts()]);
  const kinds: readonly BinaryKind[] = [OpKind.Add, OpKind.Sub, OpKind.Mul, OpKind.Maximum, OpKind.Minimum];
  const pair = [floats(drawer, random, shape), floats(drawer, random, other)];
  const inputs = random.chance(0.5) ? pair : pair.toReversed();
  return drawer.builder.apply({ kind: random.pick(kinds), inputs, activation: clamp(random) }, FLOAT32);
}

function drawAffine(drawer: Drawer, random: Random): number {
  const shape = imageShape(random);
  const channels = random.chance(0.5) ? 1 : shape[3]!;
  const values = () =>
    drawer.builder.weights.append(Float32Array.from({ length: channels }, () => random.real(-9, 9)));
  const kind = random.pick([OpKind.FloatAffine, OpKind.FloatGate] as const);
  const inputs = [floats(drawer, random, shape)];
  return drawer.builder.apply(
    { kind, inputs, channels, aOffset: values(), bOffset: values(), ...clamp(random) },
    FLOAT32,
  );
}

function drawPrelu(drawer: Drawer, random: Random): number {
  const shape = imageShape(random);
  const channels = shape[3]!;
  const alphas = Float32Array.from({ length: channels }, () => random.real(-2, 2));
  const alphaOffset = drawer.builder.weights.append(alphas);
  const inputs = [finiteReals(drawer, random, shape)];
  return drawer.builder.apply({ kind: OpKind.Prelu, inputs, channels, alphaOffset }, FLOAT32);
}

function drawFunction(drawer: Drawer, random: Random): number {
  const inputs = [floats(drawer, random, imageShape(random))];
  const kinds = [
    FloatFunctionKind.Sigmoid,
    FloatFunctionKind.Tanh,
    FloatFunctionKind.Elu,
    FloatFunctionKind.Abs,
    FloatFunctionKind.Swish,
  ];
  return drawer.builder.apply({ kind: OpKind.FloatFunction, inputs, function: random.pick(kinds) }, FLOAT32);
}

function drawPool(drawer: Drawer, random: Random): number {
  const shape = imageShape(random);
  const whole: Window = { kernel: [0, 0], strides: [1, 1], padding: { mode: PaddingMode.Valid } };
  const window = random.chance(0.3) ? whole : drawer.window(shape, true);
  const kind = random.pick([OpKind.MaxPool, OpKind.AvgPool] as const);
  const inputs = [finiteReals(drawer, random, shape)];
  return drawer.builder.apply({ kind, inputs, window, activation: clamp(random) }, FLOAT32);
}

/** Ops that move elements, which real values take as codes do. */
function drawMove(drawer: Drawer, random: Random): number {
  const { builder } = drawer;
  const block = random.int(1, 3);
  const shape = [
    random.int(1, 3),
    block * random.int(1, 3),
    block * random.int(1, 3),
    block ** 2 * random.int(1, 5),
  ];
  const inputs = [finiteReals(drawer, random, shape)];
  const [height, width] = [random.int(1, 9), random.int(1, 9)];
  const size = { height, width, alignCorners: false, halfPixelCenters: random.chance(0.5) };
  const paddings = shape.map(() => [random.int(0, 2), random.int(0, 2)] as const);
  const ranges = shape.map((dim) => ({ begin: random.int(0, dim - 1), size: 1, stride: 1 }));
  const axes = random.pick([
    [0, 3, 1, 2],
    [3, 2, 1, 0],
    [0, 1, 2, 3],
  ]);
  const drafts: readonly OpDraft[] = [
    { kind: OpKind.Pad, inputs, mode: PadMode.Constant, code: 0, paddings },
    { kind: OpKind.Slice, inputs, ranges },
    { kind: OpKind.Transpose, inputs, axes },
    { kind: OpKind.SpaceToDepth, inputs, block },
    { kind: OpKind.DepthToSpace, inputs, block },
    { kind: OpKind.ResizeNearestNeighbor, inputs, size },
    { kind: OpKind.ResizeBilinear, inputs, size },
    { kind: OpKind.Reshape, inputs, shape: [-1, shape[3]!] },
    {
      kind: OpKind.Concat,
      inputs: [...inputs, finiteReals(drawer, random, shape)],
      axis: random.int(0, 3),
    },
  ];
  return builder.apply(random.pick(drafts), FLOAT32);
}

export const INT16_SERIES: readonly Series[] = [
  { label: 'Conv2D of int16', draw: drawConv2D },
  { label: 'DepthwiseConv2D of int16', draw: drawDepthwise },
  { label: 'Linear of int16', draw: drawLinear },
  { label: 'arithmetic on floats', draw: drawBinary },
  { label: 'FloatAffine and FloatGate', draw: drawAffine },
  { label: 'Prelu of floats', draw: drawPrelu },
  { label: 'FloatFunction', draw: drawFunction },
  { label: 'pools of floats', draw: drawPool },
  { label: 'moves of floats', draw: drawMove },
];
