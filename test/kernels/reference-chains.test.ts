// @needs engine
/** Random programs of many ops: residuals, concatenations, branches that die early or live long, several outputs. */
import { OpKind } from '../../src/program/program';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { forEachCase, type Random } from '../support/random';
import { everyIsa, expectReference } from '../support/run-engine';
import { imageShape } from '../support/series';

const CASES = 250;

type Step = (drawer: Drawer, random: Random, input: number, images: readonly number[]) => number;

/** Tensors of the same shape but, for the concatenation, its channels. */
function matching(drawer: Drawer, input: number, images: readonly number[], dims: number): number[] {
  const shape = drawer.builder.shape(input).slice(0, dims);
  return images.filter((id) => shape.every((dim, axis) => drawer.builder.shape(id)[axis] === dim));
}

/** A squeeze-and-excitation gate: the image times its own channel means through a linear layer. */
function gate(drawer: Drawer, input: number): number {
  const [batch, , , channels] = drawer.builder.shape(input);
  const means = drawer.codesOf(
    drawer.avgPool(input, { kernel: [0, 0], strides: [1, 1], padding: { mode: 2 } }),
  );
  const weights = drawer.codesOf(drawer.linear(drawer.reshape(means, [batch!, channels!]), channels));
  return drawer.binary(OpKind.Mul, input, drawer.reshape(weights, [-1, 1, 1, channels!]));
}

/** A convolution and an element-wise op behind it, which runs as part of its store where it can. */
function convolveAndMap(drawer: Drawer, random: Random, input: number, images: readonly number[]): number {
  const made = drawer.codesOf(random.chance(0.5) ? drawer.conv2d(input) : drawer.depthwiseConv2d(input));
  if (random.chance(0.3)) return drawer.prelu(made);
  const others = matching(drawer, made, images, 4);
  const other = others.length === 0 ? drawer.codes(drawer.builder.shape(made)) : random.pick(others);
  const [a, b] = random.chance(0.5) ? [made, other] : [other, made];
  return drawer.binary(random.pick([OpKind.Add, OpKind.Mul, OpKind.Sub, OpKind.Maximum]), a, b);
}

const STEPS: Step[] = [
  convolveAndMap,
  (drawer, _, input) => drawer.conv2d(input),
  (drawer, _, input) => drawer.depthwiseConv2d(input),
  (drawer, _, input) => drawer.maxPool(input),
  (drawer, _, input) => drawer.avgPool(input),
  (drawer, _, input) => drawer.lookup(input),
  (drawer, _, input) => drawer.linear(input),
  (drawer, _, input) => drawer.requantizeReals(drawer.dequantize(input)),
  (drawer, _, input) => gate(drawer, input),
  (drawer, random, input, images) =>
    drawer.binary(OpKind.Add, input, random.pick(matching(drawer, input, images, 4))),
  (drawer, random, input, images) =>
    drawer.binary(OpKind.Mul, random.pick(matching(drawer, input, images, 4)), input),
  (drawer, random, input, images) => {
    const others = matching(drawer, input, images, 3);
    return drawer.concat([input, random.pick(others), random.pick(others)], 3);
  },
];

function drawProgram(builder: CaseBuilder, random: Random): void {
  const drawer = new Drawer(builder, random);
  const shape = imageShape(random);
  const images = [drawer.codes(shape), random.chance(0.5) ? drawer.codes(shape) : drawer.quantized(shape)];
  const used = new Set<number>();
  for (let step = random.int(3, 14); step > 0; --step) {
    // Most steps go on from the last tensor; some go back to an older one.
    const input = random.chance(0.7) ? images.at(-1)! : random.pick(images);
    if (builder.shape(input)[3]! > 80) continue;
    images.push(drawer.codesOf(random.pick(STEPS)(drawer, random, input, images)));
    used.add(input);
  }
  for (const id of images) {
    if (!used.has(id) || random.chance(0.1)) builder.output(id);
  }
}

test('programs of many ops equal the reference on every instruction set', async () => {
  const engines = everyIsa();
  await forEachCase('chains', CASES, (random) => {
    const builder = new CaseBuilder(random.chance(0.5));
    drawProgram(builder, random);
    expectReference(builder.build(), engines);
  });
});
