/** Random float graphs, with samples of their inputs, over all ops that there is a template for. */

import { attr } from '../../../src/graph/attrs';
import type { Random } from '../random';
import { Discarded, Drawing, type Drawn, type RandomGraph, SAMPLES, type Shape, T } from './drawing';
import { COMMON, TEMPLATES } from './templates';

/** Sizes of an input: the batch is drawn. */
const INPUTS: readonly Shape[] = [
  [6, 6, 4],
  [5, 7, 3],
  [8, 8, 3],
  [4, 4, 8],
  [6, 8],
  [4, 6],
  [8],
  [5],
  [12],
  [3, 4, 4, 2],
];

/** What a graph usually begins with, as nothing is quantized without. */
const LAYERS = ['Conv2D', '_FusedConv2D', 'FusedDepthwiseConv2dNative', '_FusedMatMul', 'linear'];

/** A few graphs have no layer that fits. */
const MOST_TRIES = 8;

const BATCHES = [2, 1, 3, 2, 2];

function drawInput(d: Drawing): void {
  const { random } = d;
  const real = () => random.real(-2, 2);
  const everySample = (shape: Shape) => new Array<Shape>(SAMPLES).fill(shape);
  if (random.chance(0.03)) {
    const shape: Shape = random.chance(0.5) ? [] : [6];
    d.input(shape, everySample(shape), 'float32', real);
    return;
  }
  const inner = random.pick(INPUTS);
  const openBatch = random.chance(0.6);
  const openSides = inner.length === 3 && random.chance(0.15);
  const batch = random.pick([1, 2, 2, 2]);
  const shapes = BATCHES.map((size, i) => [
    openBatch ? size : batch,
    ...inner.map((side, axis) => (openSides && axis < 2 ? side + (i % 2) * 2 : side)),
  ]);
  const declared = [
    openBatch ? -1 : batch,
    ...inner.map((side, axis) => (openSides && axis < 2 ? -1 : side)),
  ];
  if (random.chance(0.06)) d.input(declared, shapes, 'int32', () => random.int(0, 255));
  // Pixels of pictures lie on a grid.
  else if (random.chance(0.2)) d.input(declared, shapes, 'float32', () => random.int(0, 255) / 127.5 - 1);
  else d.input(declared, shapes, 'float32', real);
}

/** Whole numbers of a picture, as its model scales them. */
async function realNumbers(d: Drawing, tensor: Drawn): Promise<void> {
  const types = { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') };
  const [name, scaled] = [d.name(), d.name()];
  const specs = [
    { name, op: 'Cast', inputs: [tensor.name], attrs: types },
    { name: scaled, op: 'Mul', inputs: [name, d.scalar(1 / 128)], attrs: T },
  ];
  await d.group(specs, [scaled]);
}

/** @returns whether it fits what there is */
async function draw(d: Drawing, name: string): Promise<boolean> {
  try {
    await TEMPLATES[name](d);
    return true;
  } catch (error) {
    if (error instanceof Discarded) return false;
    throw error;
  }
}

export async function drawGraph(random: Random): Promise<RandomGraph> {
  const d = new Drawing(random);
  for (let i = random.pick([1, 1, 2]); i > 0; i--) drawInput(d);
  for (const tensor of [...d.tensors]) {
    if (tensor.dtype === 'int32') await realNumbers(d, tensor);
  }
  const names = Object.keys(TEMPLATES);
  const wanted = random.int(3, 12);
  for (let [tries, made] = [0, 0]; made < wanted && tries < 3 * wanted; tries++) {
    const first = made === 0 && random.chance(0.9);
    const name = first ? random.pick(LAYERS) : random.pick(random.chance(0.65) ? COMMON : names);
    if (await draw(d, name)) made++;
  }
  for (let tries = 0; tries < MOST_TRIES && !d.tensors.some(({ layered }) => layered); tries++) {
    await draw(d, random.pick(LAYERS));
  }
  return d.finish();
}
