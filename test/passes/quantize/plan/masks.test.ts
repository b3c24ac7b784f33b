// @needs engine
import { attr } from '../../../../src/graph/attrs';
import type { Graph } from '../../../../src/graph/ir';
import { findMasks } from '../../../../src/passes/quantize/plan/masks';
import type { PlanOptions } from '../../../../src/passes/quantize/plan/plan';
import { signalToNoise } from '../../../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

const T = { T: attr.dtype('float32') };
const TOKENS = 8;
const LOWEST = -3.4028234663852886e38;

type Feeds = ReturnType<typeof drawFeeds>;
type Mask = (graph: FloatGraph, value: number) => FloatGraph;

/** 1 where a token may look: at those before it. */
const LOOKS = Array.from({ length: TOKENS ** 2 }, (_, i) => (i % TOKENS <= Math.floor(i / TOKENS) ? 1 : 0));

/** An attention whose `scores` [2, 8, 8] a mask makes `masked` of. */
function attention(random: Random, mask: Mask, value: number): Graph {
  const graph = new FloatGraph(random).input('x', [2, TOKENS, 16]);
  for (const name of ['q', 'k', 'v', 'o']) graph.weights(`w${name}`, [1, 16, 16], -0.4, 0.4);
  for (const name of ['q', 'k', 'v']) graph.node(name, 'BatchMatMulV2', ['x', `w${name}`], T);
  graph.node('scores', 'BatchMatMulV2', ['q', 'k'], { ...T, adj_y: attr.bool(true) });
  return mask(graph, value)
    .node('weights', 'Softmax', ['masked'], T)
    .node('mixed', 'BatchMatMulV2', ['weights', 'v'], T)
    .node('out', 'BatchMatMulV2', ['mixed', 'wo'], T)
    .build('out');
}

const ADDED = (value: number) => LOOKS.map((looks) => (looks ? 0 : value));

const MASKS: Readonly<Record<string, Mask>> = {
  'a constant that is added': (g, value) =>
    g.constant('m', [1, TOKENS, TOKENS], ADDED(value)).node('masked', 'AddV2', ['scores', 'm'], T),
  'a constant of fewer dimensions, added first': (g, value) =>
    g.constant('m', [TOKENS, TOKENS], ADDED(value)).node('masked', 'AddV2', ['m', 'scores'], T),
  'a constant that is subtracted, then scaled': (g, value) =>
    g
      .constant('m', [1, TOKENS, TOKENS], ADDED(-value))
      .constant('root', [], [2])
      .node('less', 'Sub', ['scores', 'm'], T)
      .node('masked', 'RealDiv', ['less', 'root'], T),
  'an input of zeros and ones': (g, value) =>
    g
      .input('looks', [1, TOKENS, TOKENS])
      .constant('one', [], [1])
      .constant('m', [], [value])
      .node('inverse', 'Sub', ['one', 'looks'], T)
      .node('scaled', 'Mul', ['inverse', 'm'], T)
      .node('masked', 'AddV2', ['scores', 'scaled'], T),
  'an input that is added as it is': (g) =>
    g.input('added', [1, TOKENS, TOKENS]).node('masked', 'AddV2', ['scores', 'added'], T),
  'a choice between scores and a constant': (g, value) =>
    g
      .input('looks', [2, TOKENS, TOKENS])
      .constant('half', [], [0.5])
      .constant('m', [], [value])
      .node('may', 'Greater', ['looks', 'half'], T)
      .node('masked', 'SelectV2', ['may', 'scores', 'm'], T),
  'a sum that is reshaped before the softmax': (g, value) =>
    g
      .constant('m', [1, TOKENS, TOKENS], ADDED(value))
      .constant('rows', [2], [-1, TOKENS], 'int32')
      .constant('full', [3], [2, TOKENS, TOKENS], 'int32')
      .node('sum', 'AddV2', ['scores', 'm'], T)
      .node('flat', 'Reshape', ['sum', 'rows'], T)
      .node('masked', 'Reshape', ['flat', 'full'], T),
};

function feedsOf(graph: Graph, random: Random, value: number): Feeds {
  const feeds = drawFeeds(graph, random);
  const fill = (name: string, values: number[]) => {
    if (!feeds[name]) return;
    const { shape } = feeds[name];
    const count = shape.reduce((p, d) => p * d, 1);
    feeds[name] = {
      shape,
      values: Float32Array.from({ length: count }, (_, i) => values[i % values.length]),
    };
  };
  fill('looks', LOOKS);
  fill('added', ADDED(value));
  return feeds;
}

/** Signal-to-noise on data that the graph is calibrated on. */
async function converted(graph: Graph, random: Random, value = 0, options?: PlanOptions) {
  const feeds = feedsOf(graph, random, value);
  const given = [feeds, ...Array.from({ length: 4 }, () => feedsOf(graph, random, value))];
  const { graph: quantized, plan } = await quantize(graph, random, undefined, given, options);
  const [[expected], [received]] = [await execute(graph, feeds), await execute(quantized, feeds)];
  return { plan, decibels: signalToNoise(expected.values, received.values) };
}

describe.each(Object.keys(MASKS))('%s', (name) => {
  // (1 - 1) * -Infinity is no number, in TF.js neither; inputs are finite.
  const values = [-1e4, -65504, -1e9, LOWEST, Number.NEGATIVE_INFINITY];
  const given =
    name.includes('input of') || name.includes('an input that') ? values.filter(Number.isFinite) : values;
  test.each(given)('of %p costs nothing beside an attention without a mask', async (value) => {
    const random = randomOf(`${name} ${value}`, 0);
    const { plan, decibels } = await converted(attention(random, MASKS[name], value), random, value);
    expect(decibels).toBeGreaterThan(25);
    const products = plan.regions.flatMap((r) => r.nodes).filter((n) => n.op === 'BatchMatMulV2');
    expect(products).toHaveLength(6);
  });
});

describe('a border of the lowest value', () => {
  const pads = (rank: number[]) => rank.flatMap((size) => [size, size]);

  /** conv -> pad by `value` -> `pool` -> conv */
  function padded(random: Random, value: number, pool: (graph: FloatGraph) => FloatGraph): Graph {
    const graph = new FloatGraph(random)
      .input('image', [1, 9, 9, 4])
      .weights('w', [3, 3, 4, 4], -0.5, 0.5)
      .weights('v', [3, 3, 4, 4], -0.5, 0.5)
      .constant('pads', [4, 2], pads([0, 1, 1, 0]), 'int32')
      .constant('value', [], [value])
      .node('a', 'Conv2D', ['image', 'w'], windowAttrs())
      .node('leaky', 'LeakyRelu', ['a'], { ...T, alpha: attr.float(0.1) })
      .node('padded', 'PadV2', ['leaky', 'pads', 'value'], T);
    return pool(graph).node('b', 'Conv2D', ['pool', 'v'], windowAttrs()).build('b');
  }

  const window = windowAttrs({ ksize: 3, strides: 2, padding: 'VALID' });
  const POOLS: [string, (graph: FloatGraph) => FloatGraph][] = [
    ['a max pool', (g) => g.node('pool', 'MaxPool', ['padded'], window)],
    [
      'a max pool of what is moved first',
      (g) =>
        g
          .constant('order', [4], [0, 2, 1, 3], 'int32')
          .node('moved', 'Transpose', ['padded', 'order'], T)
          .node('pool', 'MaxPool', ['moved'], window),
    ],
    [
      'two max pools',
      (g) =>
        g
          .node('one', 'MaxPool', ['padded'], window)
          .node('two', 'MaxPool', ['padded'], window)
          .node('pool', 'AddV2', ['one', 'two'], T),
    ],
  ];

  test.each(POOLS)('before %s is the lowest code', async (name, pool) => {
    for (const value of [LOWEST, -65504, -1e4]) {
      const random = randomOf(name, value);
      const { plan, decibels } = await converted(padded(random, value, pool), random);
      expect(plan.float.size).toBe(0);
      expect(decibels).toBeGreaterThan(30);
    }
  });

  test.each(POOLS)('left in float, before %s: the maximum is computed on float32', async (name, pool) => {
    const random = randomOf(`${name} on float32`, 0);
    const float = new Map([['padded', 'requested']]);
    const { decibels } = await converted(padded(random, LOWEST, pool), random, 0, { float });
    expect(decibels).toBeGreaterThan(30);
  });

  test('that something else reads too stays float', async () => {
    const random = randomOf('other readers', 0);
    const graph = padded(random, -1e5, (g) =>
      g
        .node('one', 'MaxPool', ['padded'], window)
        .node('tanh', 'Tanh', ['padded'], T)
        .node('two', 'MaxPool', ['tanh'], window)
        .node('pool', 'AddV2', ['one', 'two'], T),
    );
    const { plan, decibels } = await converted(graph, random);
    expect([...plan.float.keys()]).toEqual(['padded']);
    expect(decibels).toBeGreaterThan(25);
  });
});

test('large values of a layer, a divisor and a bound that nothing reaches are no masks', () => {
  const graph = new FloatGraph(randomOf('no masks', 0))
    .input('x', [4, 4])
    .constant('w', [4, 4], new Array(16).fill(20000))
    .constant('large', [], [1e5])
    .node('product', 'MatMul', ['x', 'w'], T)
    .node('quotient', 'RealDiv', ['product', 'large'], T)
    .node('most', 'Minimum', ['quotient', 'large'], T)
    .build('most');
  expect([...findMasks(graph).onFloat32]).toEqual([]);
});
