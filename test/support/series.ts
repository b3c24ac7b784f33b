/** Random programs of one op, by op. */
import { type BinaryKind, OpKind } from '../../src/program/program';
import type { Drawer } from './draw';
import type { Random } from './random';

export interface Series {
  readonly label: string;
  /** Adds the inputs and the op. @returns the output tensor of the op */
  readonly draw: (drawer: Drawer, random: Random) => number;
}

/** NHWC; most images are small, most channel counts no multiple of a vector. */
export function imageShape(random: Random, channels = random.int(1, 20)): number[] {
  return [random.int(1, 3), random.int(1, 12), random.int(1, 12), channels];
}

export function anyShape(random: Random): number[] {
  const shape = Array.from({ length: random.int(1, 4) }, () => random.int(1, 9));
  shape[shape.length - 1] = random.int(1, 70);
  return shape;
}

/** A few rows, some of them long. */
function rowsShape(random: Random): number[] {
  return [random.int(1, 4), random.chance(0.5) ? random.int(1, 70) : random.int(1, 600)];
}

/** Up to six axes. */
function smallShape(random: Random): number[] {
  const shape = Array.from({ length: random.int(1, 6) }, () => random.int(1, 4));
  shape[shape.length - 1] = random.int(1, 24);
  return shape;
}

function drawSpaceToDepth(drawer: Drawer, random: Random): number {
  const block = random.int(1, 4);
  const shape = [random.int(1, 3), block * random.int(1, 4), block * random.int(1, 4), random.int(1, 9)];
  return drawer.spaceDepth(OpKind.SpaceToDepth, block, drawer.codes(shape));
}

function drawDepthToSpace(drawer: Drawer, random: Random): number {
  const block = random.int(1, 4);
  const shape = [random.int(1, 3), random.int(1, 5), random.int(1, 5), block * block * random.int(1, 9)];
  return drawer.spaceDepth(OpKind.DepthToSpace, block, drawer.codes(shape));
}

function drawBatchMatMul(drawer: Drawer, random: Random): number {
  const [rows, terms, columns] = [random.int(1, 9), random.int(1, 40), random.int(1, 40)];
  const [transposeA, transposeB] = [random.chance(0.5), random.chance(0.5)];
  const batches = Array.from({ length: random.int(0, 2) }, () => random.int(1, 3));
  const some = () =>
    batches.map((dim) => (random.chance(0.2) ? 1 : dim)).slice(random.int(0, batches.length));
  const [a, b] = random.chance(0.5) ? [batches, some()] : [some(), batches];
  const matrix = (height: number, width: number, transposed: boolean) =>
    transposed ? [width, height] : [height, width];
  return drawer.batchMatMul(
    drawer.codes([...a, ...matrix(rows, terms, transposeA)]),
    drawer.codes([...b, ...matrix(terms, columns, transposeB)]),
    transposeA,
    transposeB,
  );
}

/** Two shapes that broadcast together; equal ones a quarter of the time. */
function broadcastShapes(random: Random): [number[], number[]] {
  const shape = anyShape(random);
  if (random.chance(0.25)) return [shape, shape];
  const shrink = (by: number) => shape.map((dim) => (random.chance(0.25) ? 1 : dim)).slice(random.int(0, by));
  const [a, b] = [shrink(0), shrink(shape.length - 1)];
  return random.chance(0.5) ? [a, b] : [b, a];
}

function drawConcat(drawer: Drawer, random: Random): number {
  const shape = Array.from({ length: random.int(1, 4) }, () => random.int(1, 8));
  const axis = random.int(0, shape.length - 1);
  const inputs = Array.from({ length: random.int(1, 4) }, () =>
    drawer.codes(shape.map((dim, i) => (i === axis ? random.int(1, 20) : dim))),
  );
  return drawer.concat(inputs, random.chance(0.2) ? axis - shape.length : axis);
}

/** The divisors of the element count in random order make the new shape. */
function drawReshape(drawer: Drawer, random: Random): number {
  const from = [random.int(1, 3), random.int(1, 4), random.int(1, 4), random.int(1, 24)];
  let rest = from.reduce((a, b) => a * b, 1);
  const to: number[] = [];
  while (to.length < 3) {
    const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((d) => rest % d === 0);
    to.push(random.pick(divisors));
    rest /= to.at(-1)!;
  }
  to.splice(random.int(0, 3), 0, rest);
  if (random.chance(0.5)) to[random.int(0, 3)] = -1;
  return drawer.reshape(drawer.codes(from), to);
}

const binarySeries = (kind: BinaryKind): Series => ({
  label: OpKind[kind],
  draw: (drawer, random) => {
    const [a, b] = broadcastShapes(random);
    return drawer.binary(kind, drawer.codes(a), random.chance(0.1) ? drawer.constant(b) : drawer.codes(b));
  },
});

/** The ops that requantize or compare codes: those that other libraries have as well. */
export const ARITHMETIC_SERIES: readonly Series[] = [
  { label: 'Conv2D', draw: (drawer, random) => drawer.conv2d(drawer.codes(imageShape(random))) },
  {
    label: 'DepthwiseConv2D',
    draw: (drawer, random) => drawer.depthwiseConv2d(drawer.codes(imageShape(random))),
  },
  { label: 'Linear', draw: (drawer, random) => drawer.linear(drawer.codes(anyShape(random))) },
  { label: 'MaxPool', draw: (drawer, random) => drawer.maxPool(drawer.codes(imageShape(random))) },
  { label: 'AvgPool', draw: (drawer, random) => drawer.avgPool(drawer.codes(imageShape(random))) },
  binarySeries(OpKind.Add),
  binarySeries(OpKind.Mul),
  { label: 'Concat', draw: drawConcat },
];

/** The ops beyond those that float TF.js computes as well. */
export const FLOAT_SERIES: readonly Series[] = [
  binarySeries(OpKind.Sub),
  binarySeries(OpKind.Maximum),
  binarySeries(OpKind.Minimum),
  { label: 'Prelu', draw: (drawer, random) => drawer.prelu(drawer.codes(anyShape(random))) },
  { label: 'Pad', draw: (drawer, random) => drawer.pad(drawer.codes(smallShape(random))) },
  { label: 'Slice', draw: (drawer, random) => drawer.slice(drawer.codes(smallShape(random))) },
  { label: 'Transpose', draw: (drawer, random) => drawer.transpose(drawer.codes(smallShape(random))) },
  {
    label: 'TransposedConv2D',
    draw: (drawer, random) =>
      drawer.transposedConv2d(
        drawer.codes([random.int(1, 2), random.int(1, 6), random.int(1, 6), random.int(1, 20)]),
      ),
  },
  { label: 'BatchMatMul', draw: drawBatchMatMul },
  { label: 'SpaceToDepth', draw: drawSpaceToDepth },
  { label: 'DepthToSpace', draw: drawDepthToSpace },
  {
    label: 'ResizeNearestNeighbor',
    draw: (drawer, random) => drawer.resizeNearest(drawer.codes(imageShape(random))),
  },
  {
    label: 'ResizeBilinear',
    draw: (drawer, random) => drawer.resizeBilinear(drawer.codes(imageShape(random))),
  },
  { label: 'Softmax of codes', draw: (drawer, random) => drawer.softmax(drawer.codes(anyShape(random))) },
  {
    label: 'LayerNormalization of codes',
    draw: (drawer, random) => drawer.layerNormalization(drawer.codes(rowsShape(random))),
  },
];

/** Mostly a few groups of scales, and a rest. */
const lowBitDepth = (random: Random) => random.pick([random.int(1, 70), random.int(60, 520)]);

/** The ops with filters of 2, 3 and 4 bits. */
export const LOW_BIT_SERIES: readonly Series[] = [
  {
    label: 'Linear of low-bit weights',
    draw: (drawer, random) =>
      drawer.lowBitLinear(drawer.codes([random.pick([1, random.int(1, 20)]), lowBitDepth(random)])),
  },
  {
    label: 'Conv2D of low-bit weights',
    draw: (drawer, random) =>
      drawer.lowBitConv2d(
        drawer.codes([random.int(1, 2), random.int(1, 5), random.int(1, 5), lowBitDepth(random)]),
      ),
  },
];

export const ALL_SERIES: readonly Series[] = [
  ...ARITHMETIC_SERIES,
  ...LOW_BIT_SERIES,
  ...FLOAT_SERIES,
  { label: 'Quantize', draw: (drawer, random) => drawer.quantized(anyShape(random)) },
  {
    label: 'Dequantize',
    draw: (drawer, random) => drawer.dequantize(drawer.codes(anyShape(random))),
  },
  { label: 'Reshape', draw: drawReshape },
  { label: 'Lookup', draw: (drawer, random) => drawer.lookup(drawer.codes(anyShape(random))) },
  { label: 'Lookup of floats', draw: (drawer, random) => drawer.floatLookup(drawer.codes(anyShape(random))) },
  {
    label: 'LinearFloat',
    draw: (drawer, random) =>
      drawer.linearFloat(drawer.floats([random.pick([1, random.int(1, 9)]), lowBitDepth(random)])),
  },
  {
    label: 'Gather',
    draw: (drawer, random) =>
      drawer.gather(
        Array.from({ length: random.int(1, 3) }, () => random.int(1, 4)),
        random.int(1, 30),
        lowBitDepth(random),
      ),
  },
  { label: 'Rotate', draw: (drawer, random) => drawer.rotate(drawer.codes(rowsShape(random))) },
  {
    label: 'Rotate of floats',
    draw: (drawer, random) => drawer.rotate(drawer.floats(rowsShape(random), { odd: random.chance(0.2) })),
  },
  {
    label: 'LayerNormalization of floats',
    draw: (drawer, random) =>
      drawer.layerNormalization(drawer.floats(rowsShape(random), { odd: random.chance(0.2) })),
  },
  {
    label: 'Softmax of floats',
    draw: (drawer, random) => drawer.softmax(drawer.floats(anyShape(random), { odd: random.chance(0.2) })),
  },
];
