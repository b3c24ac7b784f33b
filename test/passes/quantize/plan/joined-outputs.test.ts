// @needs engine
import { attr } from '../../../../src/graph/attrs';
import type { Graph } from '../../../../src/graph/ir';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { SignalToNoise } from '../../../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

const T = { T: attr.dtype('float32') };

/** Heads of a detector: boxes of hundreds, scores of hundredths, and something between, of 3 channels each. */
function heads(random: Random): FloatGraph {
  const graph = new FloatGraph(random).input('image', [1, 8, 8, 4]).constant('axis', [], [-1], 'int32');
  for (const [name, strength] of Object.entries({ boxes: 200, scores: 0.02, other: 1 })) {
    graph
      .weights(`${name}/w`, [1, 1, 4, 3], -0.4 * strength, 0.5 * strength)
      .node(name, 'Conv2D', ['image', `${name}/w`], windowAttrs());
  }
  return graph;
}

const ROWS = (graph: FloatGraph) => graph.constant('rows', [3], [1, -1, 9], 'int32');

const JOINED: [string, (graph: FloatGraph) => FloatGraph, number[]][] = [
  [
    'parts of a map',
    (g) => g.node('out', 'ConcatV2', ['boxes', 'scores', 'other', 'axis'], { N: attr.int(3) }),
    [3, 3, 3],
  ],
  [
    'parts that are joined in two steps',
    (g) =>
      g
        .node('pair', 'ConcatV2', ['scores', 'boxes', 'axis'])
        .node('out', 'ConcatV2', ['pair', 'other', 'axis']),
    [3, 3, 3],
  ],
  [
    'parts that are reshaped between two steps and at the end',
    (g) =>
      ROWS(g)
        .constant('six', [3], [1, 64, 6], 'int32')
        .constant('three', [3], [1, 64, 3], 'int32')
        .node('pair', 'ConcatV2', ['boxes', 'scores', 'axis'])
        .node('flat', 'Reshape', ['pair', 'six'], T)
        .node('rest', 'Reshape', ['other', 'three'], T)
        .node('all', 'ConcatV2', ['flat', 'rest', 'axis'])
        .node('out', 'Reshape', ['all', 'rows'], T),
    [3, 3, 3],
  ],
  [
    'a part that is a function of a layer',
    (g) => g.node('gate', 'Sigmoid', ['scores']).node('out', 'ConcatV2', ['boxes', 'gate', 'axis']),
    [3, 3],
  ],
];

async function partsOf(graph: Graph, random: Random, sizes: readonly number[]): Promise<number[]> {
  const feeds = drawFeeds(graph, random);
  const { graph: quantized } = await quantize(graph, random, undefined, [feeds]);
  const [[expected], [received]] = [await execute(graph, feeds), await execute(quantized, feeds)];
  const width = sizes.reduce((sum, size) => sum + size, 0);
  const part = (i: number) => {
    let [at, p] = [i % width, 0];
    while (at >= sizes[p]) at -= sizes[p++];
    return p;
  };
  const sums = sizes.map(() => new SignalToNoise());
  expected.values.forEach((v, i) => {
    sums[part(i)].addOne(v, received.values[i]);
  });
  return sums.map((s) => s.decibels);
}

test.each(JOINED)('%s: each part of an output is accurate', async (name, build, sizes) => {
  const random = randomOf(name, 0);
  const graph = build(heads(random)).build('out');
  for (const decibels of await partsOf(graph, random, sizes)) expect(decibels).toBeGreaterThan(30);
});

test('a concatenation that a layer reads has one range, and is rounded', () => {
  const random = randomOf('inside', 0);
  const graph = heads(random)
    .node('joined', 'ConcatV2', ['boxes', 'scores', 'axis'])
    .weights('w', [1, 1, 6, 2])
    .node('out', 'Conv2D', ['joined', 'w'], windowAttrs())
    .build('out');
  const [region] = planQuantization(graph).regions;
  expect(region.steps.map(({ kind }) => kind)).toEqual(['op', 'op', 'op', 'op']);
  expect([...region.sharedRanges.keys()]).toEqual(['boxes:0', 'scores:0']);
});
