// @needs engine
/** Inputs whose values lie on a grid, as pixels do: their int8 codes are exact, wherever zero lies. */

import { calibrate } from '../../../../src/calibration/runner';
import type { Graph } from '../../../../src/graph/ir';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { observedTensors } from '../../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { OpKind } from '../../../../src/program/program';
import { signalToNoise } from '../../../../src/quantization/metrics';
import type { Observations } from '../../../../src/quantization/observations';
import { execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { expectReference } from '../../../support/quantize';
import { randomOf } from '../../../support/random';

const random = randomOf('grids of inputs', 0);
const SHAPE = [1, 6, 6, 3];

/** Without padding: its zeros would have to be on the grid. */
const valid = windowAttrs({ padding: 'VALID' });

function convolution(window = valid): FloatGraph {
  return new FloatGraph(random)
    .input('image', [-1, 6, 6, 3])
    .weights('w', [3, 3, 3, 8], -0.4, 0.4)
    .node('a', 'Conv2D', ['image', 'w'], window);
}

/** 255 and 0 are among the first pixels. */
function pixels(toReal: (pixel: number) => number): Float32Array {
  return Float32Array.from({ length: 108 }, (_, i) => toReal(i < 2 ? 255 * i : random.int(0, 255)));
}

function observe(graph: Graph, toReal: (pixel: number) => number): Promise<Observations> {
  const source = async function* () {
    for (let i = 0; i < 8; i++)
      yield { image: { dtype: 'float32' as const, shape: SHAPE, values: pixels(toReal) } };
  };
  return calibrate(graph, observedTensors(planQuantization(graph)), source, { method: 'minmax' });
}

function kinds(graph: Graph, observations: Observations): OpKind[] {
  const plan = planQuantization(graph);
  const { ops } = lowerRegion(plan.regions[0], plan, observations).build();
  return ops.map(({ kind }) => kind);
}

const between = (pixel: number) => Math.fround(pixel / 127.5 - 1);

test('zero between two pixels shifts them, and the bias makes up for it', async () => {
  const graph = convolution().build('a');
  const observations = await observe(graph, between);
  const plan = planQuantization(graph);
  expect(kinds(graph, observations).slice(0, 2)).toEqual([OpKind.FloatAffine, OpKind.Quantize]);
  await expectReference(graph, observations, random);

  const feeds = { image: { shape: SHAPE, values: pixels(between) } };
  const [expected] = await execute(graph, feeds);
  const decibels = async (of: Observations) => {
    const [received] = await execute(quantizeGraph(graph, plan, of).graph, feeds);
    return signalToNoise(expected.values, received.values);
  };
  const { grids: _, ...rounded } = observations;
  expect(await decibels(observations)).toBeGreaterThan((await decibels(rounded)) + 2);

  const expanded = quantizeGraph(graph, plan, observations, { regions: false }).graph;
  expect(await execute(expanded, feeds)).toEqual(
    await execute(quantizeGraph(graph, plan, observations).graph, feeds),
  );
});

test('zero on the grid needs no shift, and the codes are the pixels', async () => {
  const graph = convolution().build('a');
  const observations = await observe(graph, (pixel) => pixel);
  const plan = planQuantization(graph);
  const { ops, tensors } = lowerRegion(plan.regions[0], plan, observations).build();
  expect(ops[0].kind).toBe(OpKind.Quantize);
  expect(tensors[ops[0].output]).toMatchObject({ scale: 1, zeroPoint: -128 });
});

test('a range that the graph itself gives goes before a grid', async () => {
  const graph = { ...convolution().build('a'), ranges: new Map([['image:0', { min: -2, max: 2 }]]) };
  const observations = await observe(graph, between);
  expect(observations.grids!.size).toBe(0);
  expect(observations.ranges.get('image:0')).toEqual({ min: -2, max: 2 });
});

test.each([
  ['a sum', (g: FloatGraph) => g.node('b', 'AddV2', ['image', 'image'])],
  ['a pool', (g: FloatGraph) => g.node('b', 'MaxPool', ['image'], windowAttrs({ ksize: 3 }))],
])('%s of the input, which cannot make up for a shift, keeps its zero point', async (_, read) => {
  const graph = read(convolution(windowAttrs()))
    .weights('v', [1, 1, 3, 8])
    .node('c', 'Conv2D', ['b', 'v'], windowAttrs())
    .node('sum', 'AddV2', ['a', 'c'])
    .build('sum');
  const observations = await observe(graph, between);
  expect(observations.grids!.has('image:0')).toBe(true);
  expect(kinds(graph, observations)).not.toContain(OpKind.FloatAffine);
});

test.each([
  ['INT8', new Map()],
  ['dynamic codes', new Map([['a', 'dynamic' as const]])],
])(
  'padding in most of the windows: its zeros count for more than the exact values, in %s',
  async (_, precisions) => {
    const draw = randomOf('padded grid', 0);
    // Four pixels: five of the nine taps of a window lie beside them. Weights of one sign add up what padding stands for.
    const graph = new FloatGraph(draw)
      .input('image', [-1, 2, 2, 3])
      .weights('w', [3, 3, 3, 8], 0.1, 0.4)
      .node('a', 'Conv2D', ['image', 'w'], windowAttrs())
      .build('a');
    const plan = planQuantization(graph, { precisions });
    const image = () => {
      const values = Float32Array.from({ length: 12 }, (_, i) => between(i < 2 ? 255 * i : draw.int(0, 255)));
      return { shape: [1, 2, 2, 3], values };
    };
    const source = async function* () {
      for (let i = 0; i < 40; i++) yield { image: { dtype: 'float32' as const, ...image() } };
    };
    const observations = await calibrate(graph, observedTensors(plan), source, { method: 'minmax' });
    expect(observations.grids!.has('image:0')).toBe(true);
    const quantized = quantizeGraph(graph, plan, observations).graph;
    const feeds = { image: image() };
    const [[expected], [received]] = [await execute(graph, feeds), await execute(quantized, feeds)];
    // 1/255 in 15 of 27 products of 0.25 on average would be 0.015 too much, everywhere.
    const error =
      received.values.reduce((sum, v, i) => sum + v - expected.values[i], 0) / received.values.length;
    expect(Math.abs(error)).toBeLessThan(0.005);
  },
);
