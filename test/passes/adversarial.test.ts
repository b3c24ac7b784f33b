// @needs engine
/** Small graphs that rewriting gets wrong easily: converted, their float parts equal and their quantized parts close. */
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { optimize } from '../../src/passes/pipeline';
import { drawFeeds, execute, expectSameFunction, FloatGraph, windowAttrs } from '../support/float-graph';
import { fidelity, quantize } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

function image(): FloatGraph {
  return new FloatGraph(random).input('image', [-1, 6, 6, 4]).weights('w', [3, 3, 4, 4], -0.4, 0.4);
}

function conv(graph: FloatGraph, name: string, input: string, filter = 'w'): FloatGraph {
  return graph.node(name, 'Conv2D', [input, filter], windowAttrs());
}

function norm(graph: FloatGraph, name: string, input: string): FloatGraph {
  for (const part of ['gamma', 'beta', 'mean']) graph.weights(`${name}/${part}`, [4], 0.5, 1.5);
  const parts = ['gamma', 'beta', 'mean', 'variance'].map((part) => `${name}/${part}`);
  return graph
    .weights(`${name}/variance`, [4], 0.5, 2)
    .node(name, 'FusedBatchNormV3', [input, ...parts], { epsilon: attr.float(1e-3) });
}

function withControl(graph: Graph, name: string, control: string): Graph {
  const node = graph.nodes.get(name)!;
  return { ...graph, nodes: new Map(graph.nodes).set(name, { ...node, controlInputs: [control] }) };
}

const GRAPHS: [string, () => Graph][] = [
  [
    'a tensor that four nodes read',
    () => {
      const graph = conv(conv(conv(image(), 'a', 'image'), 'b', 'a'), 'c', 'a').node('relu', 'Relu', ['a']);
      return graph.node('d', 'AddN', ['a', 'b', 'c', 'relu']).build('d');
    },
  ],
  [
    'weights that two convolutions share, one of them with a batch norm',
    () =>
      norm(conv(conv(image(), 'a', 'image'), 'b', 'image'), 'n', 'a')
        .node('sum', 'AddV2', ['n', 'b'])
        .build('sum'),
  ],
  ['one tensor under two names of the signature', () => conv(image(), 'a', 'image').build('a', 'a')],
  [
    'an output in the middle of what could be folded',
    () =>
      norm(conv(image(), 'a', 'image'), 'n', 'a')
        .node('relu', 'Relu', ['n'])
        .build('relu', 'a', 'n'),
  ],
  [
    'a batch norm with two readers',
    () => {
      const graph = norm(conv(image(), 'a', 'image'), 'n', 'a').node('relu', 'Relu', ['n']);
      return conv(graph, 'b', 'n').node('sum', 'AddV2', ['relu', 'b']).build('sum');
    },
  ],
  [
    'scalars that broadcast from either side',
    () =>
      conv(
        image()
          .constant('half', [], [0.5])
          .constant('two', [1], [2])
          .node('scaled', 'Mul', ['half', 'image'])
          .node('shifted', 'Sub', ['two', 'scaled']),
        'a',
        'shifted',
      ).build('a'),
  ],
  [
    'a constant that adds dimensions',
    () =>
      conv(image(), 'a', 'image').weights('c', [1, 1, 1, 1, 4]).node('sum', 'AddV2', ['a', 'c']).build('sum'),
  ],
  [
    'a dead branch',
    () =>
      conv(conv(image(), 'a', 'image'), 'dead', 'a')
        .node('log', 'Log', ['dead'])
        .build('a'),
  ],
  [
    'a control input from a node that is folded away',
    () => {
      const graph = norm(conv(image(), 'a', 'image'), 'n', 'a').node('relu', 'Relu', ['n']);
      return withControl(conv(graph, 'b', 'relu').build('b'), 'b', 'n');
    },
  ],
  [
    'a branch of constants alone',
    () =>
      conv(image(), 'a', 'image')
        .weights('x', [4])
        .weights('y', [1, 4])
        .node('product', 'Mul', ['x', 'y'])
        .node('root', 'Square', ['product'])
        .node('sum', 'AddV2', ['a', 'root'])
        .build('sum'),
  ],
  [
    'an op that reads one tensor twice',
    () => {
      const graph = conv(image(), 'a', 'image')
        .node('double', 'AddV2', ['a', 'a'])
        .node('gate', 'Sigmoid', ['a'])
        .node('square', 'Mul', ['gate', 'gate']);
      const joined = graph
        .constant('axis', [], [3], 'int32')
        .node('twice', 'ConcatV2', ['double', 'double', 'axis'])
        .weights('v', [1, 1, 8, 4], -0.4, 0.4);
      return conv(joined, 'b', 'twice', 'v').node('sum', 'AddV2', ['b', 'square']).build('sum');
    },
  ],
  [
    'a convolution of an output of the model',
    () => conv(conv(image(), 'a', 'image'), 'b', 'a').build('a', 'b'),
  ],
  ['an input that is an output', () => conv(image(), 'a', 'image').build('a', 'image')],
];

test.each(GRAPHS)('%s', async (_, build) => {
  const graph = build();
  const { graph: optimized } = optimize(graph);
  await expectSameFunction(graph, optimized, random);
  const { graph: quantized } = await quantize(optimized, random);
  expect(quantized.outputs).toEqual(graph.outputs);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(25);
});

test('what stays float is computed to the bit, beside what is quantized', async () => {
  const graph = conv(image(), 'a', 'image')
    .node('erf', 'Erf', ['image'])
    .node('rounded', 'Round', ['erf'])
    .build('a', 'rounded', 'erf');
  const { graph: quantized, plan } = await quantize(optimize(graph).graph, random);
  expect(plan.regions).toHaveLength(1);
  const feeds = drawFeeds(graph, random);
  const [expected, received] = [await execute(graph, feeds), await execute(quantized, feeds)];
  expect(received.slice(1)).toEqual(expected.slice(1));
});
