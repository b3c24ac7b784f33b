import { measureChannelMaxima } from '../../src/calibration/channel-maxima';
import { attr } from '../../src/graph/attrs';
import { refKey } from '../../src/graph/edit';
import type { Graph } from '../../src/graph/ir';
import { equalizeActivations } from '../../src/passes/equalize-activations';
import { planQuantization } from '../../src/passes/quantize/plan/plan';
import {
  drawFeeds,
  execute,
  expectSameFunction,
  FloatGraph,
  fusedAttrs,
  windowAttrs,
} from '../support/float-graph';
import { toSample } from '../support/quantize';
import { randomOf } from '../support/random';

const random = randomOf('equalize', 0);
const CHANNELS = 4;
/** How much stronger each channel is than the first. */
const SPREAD = [1, 4, 16, 0];

/** Weights [1, 1, in, out] whose output channels differ by SPREAD. */
function uneven(graph: FloatGraph, name: string, input: string, activation: string): FloatGraph {
  const values = Array.from(
    { length: CHANNELS ** 2 },
    (_, i) => random.real(-0.1, 0.2) * SPREAD[i % CHANNELS],
  );
  return graph
    .constant(`${name}/w`, [1, 1, CHANNELS, CHANNELS], values)
    .constant(
      `${name}/b`,
      [CHANNELS],
      SPREAD.map((s) => 0.1 * s),
    )
    .node(name, '_FusedConv2D', [input, `${name}/w`, `${name}/b`], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', activation]),
    });
}

/** Uneven and depthwise convolutions, a sum, a pool, and a last convolution. */
function block(activation: string): Graph {
  const graph = uneven(new FloatGraph(random).input('image', [1, 6, 6, CHANNELS]), 'a', 'image', activation)
    .weights('dw/w', [3, 3, CHANNELS, 1])
    .weights('dw/b', [CHANNELS])
    .node('dw', 'FusedDepthwiseConv2dNative', ['a', 'dw/w', 'dw/b'], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', 'Relu']),
    });
  return uneven(graph, 'b', 'dw', 'Relu')
    .node('sum', 'AddV2', ['b', 'dw'])
    .node('pool', 'MaxPool', ['sum'], windowAttrs({ ksize: 2 }))
    .weights('c/w', [1, 1, CHANNELS, 3])
    .node('c', 'Conv2D', ['pool', 'c/w'], windowAttrs())
    .build('c');
}

async function equalized(graph: Graph, feeds: ReturnType<typeof drawFeeds>[]) {
  const { regions, shapes } = planQuantization(graph);
  const refs = regions.flatMap((r) => r.observed);
  const source = async function* () {
    for (const feed of feeds) yield toSample(feed);
  };
  const maxima = await measureChannelMaxima(graph, refs, source, { samples: feeds.length });
  return equalizeActivations(
    graph,
    shapes,
    regions.flatMap((r) => r.nodes),
    maxima,
  );
}

/** Largest value of the strongest channel beside that of the weakest that is not dead. */
async function unevenness(graph: Graph, tensor: string, feed: ReturnType<typeof drawFeeds>): Promise<number> {
  const [{ values }] = await execute(graph, feed, [{ node: tensor, index: 0 }]);
  const maxima = new Array<number>(CHANNELS).fill(0);
  values.forEach((v, i) => {
    maxima[i % CHANNELS] = Math.max(maxima[i % CHANNELS], v);
  });
  const alive = maxima.filter((m) => m > 0);
  return Math.max(...alive) / Math.min(...alive);
}

test('brings channels to similar ranges and computes the same', async () => {
  const graph = block('Relu');
  const feeds = [drawFeeds(graph, random)];
  const { graph: after, changes } = await equalized(graph, feeds);
  expect(changes.map((c) => c.node)).toEqual(['a', 'dw', 'b', 'c']);
  await expectSameFunction(graph, after, random);
  for (const tensor of ['a', 'sum'])
    expect(await unevenness(after, tensor, feeds[0])).toBeLessThan(
      0.6 * (await unevenness(graph, tensor, feeds[0])),
    );
});

test('what comes of another output of a node than the first keeps its scale: it is not quantized', async () => {
  const graph = uneven(
    new FloatGraph(random)
      .input('image', [1, 6, 6, 2 * CHANNELS])
      .constant('axis', [], [3], 'int32')
      .node('parts', 'Split', ['axis', 'image'], { T: attr.dtype('float32'), num_split: attr.int(2) })
      .node('relu', 'Relu', ['parts:1']),
    'a',
    'relu',
    'Relu',
  ).build('a');
  const { graph: after } = await equalized(graph, [drawFeeds(graph, random)]);
  await expectSameFunction(graph, after, random);
});

test('scales through Relu6 only as far as it cuts off nothing that was seen', async () => {
  const graph = block('Relu6');
  const feeds = Array.from({ length: 4 }, () => drawFeeds(graph, random));
  const { graph: after } = await equalized(graph, feeds);
  for (const feed of feeds) {
    const [[expected], [received]] = [await execute(graph, feed), await execute(after, feed)];
    for (const [i, value] of received.values.entries()) expect(value).toBeCloseTo(expected.values[i], 3);
  }
  expect(await unevenness(after, 'a', feeds[0])).toBeLessThan(await unevenness(graph, 'a', feeds[0]));
});

test('does not scale a channel that Relu6 clamps', async () => {
  const graph = block('Relu6');
  const maxima = new Map([['a:0', Float64Array.of(6, 3, 1.5, 0)]]);
  const { regions, shapes } = planQuantization(graph);
  const nodes = regions.flatMap((r) => r.nodes);
  const { graph: after } = equalizeActivations(graph, shapes, nodes, maxima);
  const biasOf = (of: Graph) => of.constants.get(of.nodes.get('a')!.inputs[2].node)!.values;
  const ratios = [...biasOf(after)].map((b, c) => b / biasOf(graph)[c]);
  for (const [channel, scale] of [1, Math.SQRT2, 2].entries()) expect(ratios[channel]).toBeCloseTo(scale, 4);
});

test('leaves alone what reaches an output or a function that scales cannot pass', async () => {
  const graph = uneven(new FloatGraph(random).input('image', [1, 6, 6, CHANNELS]), 'a', 'image', 'Relu')
    .node('gate', 'Sigmoid', ['a'])
    .weights('b/w', [1, 1, CHANNELS, CHANNELS])
    .node('b', 'Conv2D', ['gate', 'b/w'], windowAttrs())
    .build('b');
  const { graph: after, changes } = await equalized(graph, [drawFeeds(graph, random)]);
  expect(changes).toEqual([]);
  expect(refKey(after.outputs[0].ref)).toBe('b:0');
  await expectSameFunction(graph, after, random);
});

/** What computes each channel from the same one of its inputs, times a positive factor where they are. */
const HOMOGENEOUS: readonly ((graph: FloatGraph, name: string, from: readonly string[]) => void)[] = [
  (graph, name, [a]) => graph.node(name, 'Relu', [a]),
  (graph, name, [a, b]) => graph.node(name, 'AddV2', [a, b]),
  (graph, name, [a, b]) => graph.node(name, 'Maximum', [a, b]),
];

/** A layer on the last axis of a tensor [..shape, channels], whose channels differ in strength. */
function layer(graph: FloatGraph, name: string, from: string, shape: readonly number[], channels = CHANNELS) {
  const weights = Array.from(
    { length: channels * CHANNELS },
    (_, i) => random.real(-0.2, 1) * 10 ** ((i % CHANNELS) - 2),
  );
  graph.constant(`${name}/w`, [channels, CHANNELS], weights);
  if (shape.length === 1) {
    graph.node(name, 'MatMul', [from, `${name}/w`]);
    return name;
  }
  graph
    .constant(`${name}/flat`, [2], [-1, channels], 'int32')
    .constant(`${name}/full`, [shape.length + 1], [...shape, CHANNELS], 'int32')
    .node(`${name}/rows`, 'Reshape', [from, `${name}/flat`])
    .node(`${name}/product`, 'MatMul', [`${name}/rows`, `${name}/w`])
    .node(name, 'Reshape', [`${name}/product`, `${name}/full`]);
  return name;
}

test.each([2, 3, 4])(
  'computes the same in networks of tensors of rank %p, joined along any axis',
  async (rank) => {
    let scaled = 0;
    for (let network = 0; network < 20; network++) {
      const shape = [2, 4, 6].slice(0, rank - 1);
      const graph = new FloatGraph(random).input('x', [...shape, CHANNELS]);
      const known = ['a', 'b', 'c'].map((name) => layer(graph, name, 'x', shape));
      for (let i = 0; i < 3; i++) {
        random.pick(HOMOGENEOUS)(graph, `op${i}`, [random.pick(known), random.pick(known)]);
        known.push(`op${i}`);
      }
      const axis = random.int(0, rank - 1);
      const written = axis - random.int(0, 1) * rank;
      graph
        .constant('axis', [], [written], 'int32')
        .node('joined', 'ConcatV2', [random.pick(known), known.at(-1)!, 'axis']);
      const joined = [...shape, CHANNELS].map((d, i) => (i === axis ? 2 * d : d));
      const built = graph.build(layer(graph, 'end', 'joined', joined.slice(0, -1), joined.at(-1)));
      const { graph: after, changes } = await equalized(built, [drawFeeds(built, random)]);
      await expectSameFunction(built, after, random);
      scaled += changes.length;
    }
    expect(scaled).toBeGreaterThan(20);
  },
);

test('a layer whose input has a shape that is not known before it is computed', async () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 2, 4])
    .node('shape', 'Shape', ['x'])
    .constant('zero', [1], [0], 'int32')
    .constant('one', [1], [1], 'int32')
    .node('batch', 'StridedSlice', ['shape', 'zero', 'one', 'one'], { shrink_axis_mask: attr.int(1) })
    .constant('rest', [], [-1], 'int32')
    .node('sizes', 'Pack', ['batch', 'rest'], { N: attr.int(2), axis: attr.int(0) })
    .node('rows', 'Reshape', ['x', 'sizes'])
    .weights('v', [CHANNELS, 8])
    .node('first', 'MatMul', ['rows', 'v'], { transpose_b: attr.bool(true) })
    .weights('w', [CHANNELS, 3])
    .node('second', 'MatMul', ['first', 'w'])
    .build('second');
  const { graph: after, changes } = await equalized(graph, [drawFeeds(graph, random)]);
  expect(changes.map((c) => c.node)).toEqual(['first', 'second']);
  await expectSameFunction(graph, after, random);
});
