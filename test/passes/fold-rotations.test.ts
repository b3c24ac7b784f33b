import { inferShapes } from '../../src/graph/infer-shapes';
import type { Graph } from '../../src/graph/ir';
import { foldRotations } from '../../src/passes/fold-rotations';
import { rotateRows } from '../../src/quantization/hadamard';
import {
  drawFeeds,
  execute,
  expectSameFunction,
  FloatGraph,
  fusedAttrs,
  windowAttrs,
} from '../support/float-graph';
import { type Random, randomOf } from '../support/random';

const ROTATION = { block: 64, seed: 7 };

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

/** A convolution of `size` x `size` from `from` to `to` channels with a bias. */
function conv(
  graph: FloatGraph,
  name: string,
  input: string,
  from: number,
  to: number,
  size = 1,
  more: string[] = [],
) {
  return graph
    .weights(`${name}/w`, [size, size, from, to])
    .weights(`${name}/b`, [to])
    .node(name, '_FusedConv2D', [input, `${name}/w`, `${name}/b`], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', ...more]),
    });
}

const image = () => new FloatGraph(random).input('image', [-1, 5, 4, 8]);

function fold(graph: Graph, names: string[], against: string[] = []) {
  const rotations = new Map(names.map((name) => [name, ROTATION]));
  return foldRotations(graph, inferShapes(graph), rotations, new Set(against));
}

test('puts a rotation into the weights of the layer before', async () => {
  const graph = conv(conv(image(), 'a', 'image', 8, 12), 'b', 'a', 12, 6, 3).build('b');
  const folded = fold(graph, ['b']);
  expect([...folded.folded]).toEqual(['b']);
  expect([...folded.results]).toEqual([['a', ROTATION]]);
  await expectSameFunction(graph, folded.graph, random);
  const feeds = drawFeeds(graph, random);
  const a = [{ node: 'a', index: 0 }];
  const [[before], [after]] = [await execute(graph, feeds, a), await execute(folded.graph, feeds, a)];
  const expected = rotateRows(before.values, before.values.length / 12, 12, ROTATION);
  expected.forEach((value, i) => {
    expect(after.values[i]).toBeCloseTo(value, 4);
  });
});

test('rotates a stream of sums with all that makes and reads it', async () => {
  const graph = conv(image(), 'in', 'image', 8, 8);
  conv(conv(graph, 'up', 'in', 8, 16, 1, ['Relu6']), 'down', 'up', 16, 8);
  graph.node('sum', 'AddV2', ['in', 'down']);
  const built = conv(conv(graph, 'next', 'sum', 8, 16), 'also', 'in', 8, 3).build('next', 'also');
  const folded = fold(built, ['up', 'next']);
  expect([...folded.folded].sort()).toEqual(['next', 'up']);
  expect([...folded.results.keys()].sort()).toEqual(['down', 'in', 'sum']);
  await expectSameFunction(built, folded.graph, random);
});

test('rotates matrix products, transposed ones too', async () => {
  const graph = new FloatGraph(random).input('x', [-1, 6]);
  for (const [name, input, shape, transposed] of [
    ['a', 'x', [10, 6], true],
    ['b', 'a', [10, 7], false],
    ['c', 'b', [5, 7], true],
  ] as const)
    graph.weights(`${name}/w`, shape).node(name, 'MatMul', [input, `${name}/w`], {
      transpose_a: { b: false },
      transpose_b: { b: transposed },
    });
  const built = graph.build('c');
  const folded = fold(built, ['b', 'c']);
  expect(folded.folded.size).toBe(2);
  await expectSameFunction(built, folded.graph, random);
});

test.each<[string, (graph: FloatGraph) => Graph, string[]]>([
  ['an activation', (g) => conv(conv(g, 'a', 'image', 8, 8, 1, ['Relu']), 'b', 'a', 8, 4).build('b'), []],
  ['an output of the model', (g) => conv(conv(g, 'a', 'image', 8, 8), 'b', 'a', 8, 4).build('a', 'b'), []],
  ['the input', (g) => conv(g, 'b', 'image', 8, 4).build('b'), []],
  [
    'a layer that wants it as it is',
    (g) => conv(conv(conv(g, 'a', 'image', 8, 8), 'b', 'a', 8, 4), 'other', 'a', 8, 4).build('b', 'other'),
    ['other'],
  ],
  [
    'an op that is no layer',
    (g) =>
      conv(conv(g, 'a', 'image', 8, 8), 'b', 'a', 8, 4)
        .node('tanh', 'Tanh', ['a'])
        .build('b', 'tanh'),
    [],
  ],
])('leaves %s alone, and says so', (_, make, against) => {
  const graph = make(image());
  const folded = fold(graph, ['b'], against);
  expect(folded.folded.size).toBe(0);
  expect(folded.graph.constants.get('b/w')).toBe(graph.constants.get('b/w'));
  expect(folded.changes).toEqual([expect.objectContaining({ node: 'b', action: 'declined' })]);
});
