// @needs engine
import { attr } from '../../src/graph/attrs';
import { inferShapes } from '../../src/graph/infer-shapes';
import type { Graph } from '../../src/graph/ir';
import { optimize } from '../../src/passes/pipeline';
import { unrollLoops } from '../../src/passes/unroll-loops';
import { signalToNoise } from '../../src/quantization/metrics';
import { LoadedGraph } from '../../src/tfjs/loaded-graph';
import { drawFeeds, ops } from '../support/float-graph';
import { type Cell, loopGraph } from '../support/loop-graph';
import { quantize, toSample } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

async function compute(graph: Graph, sample: ReturnType<typeof toSample>) {
  const loaded = await LoadedGraph.load(graph);
  try {
    return (await loaded.predict(sample)).map(({ shape, values }) => ({ shape, values: values.slice() }));
  } finally {
    loaded.dispose();
  }
}

const LOOPS = ['Enter', 'Merge', 'Switch', 'LoopCond', 'NextIteration', 'Exit'];
const cell = (other: Partial<Cell> = {}): Cell => ({ steps: 5, features: 6, units: 8, ...other });

const CASES: [string, () => Graph][] = [
  ['a list', () => loopGraph(random, cell()).build('loop_0/sequence')],
  ['an array', () => loopGraph(random, cell({ lists: 'array' })).build('loop_0/sequence')],
  ['the last state alone, an output of the model', () => loopGraph(random, cell()).build('loop_0/last')],
  [
    'a stack of steps before it is transposed, and the last state',
    () => loopGraph(random, cell()).build('loop_0/stack', 'loop_0/last'),
  ],
  ['no turn at all', () => loopGraph(random, cell({ turns: 0 })).build('loop_0/last')],
];

test.each(CASES)('a loop over %s is written out and computes the same', async (_, build) => {
  const graph = build();
  const { graph: unrolled } = optimize(graph);
  expect(ops(unrolled).filter((op) => LOOPS.includes(op) || /TensorList|TensorArray/.test(op))).toEqual([]);
  const sample = toSample(drawFeeds(graph, random));
  const [expected, received] = [await compute(graph, sample), await compute(unrolled, sample)];
  expected.forEach(({ shape, values }, i) => {
    expect(received[i].shape).toEqual(shape);
    for (const [at, value] of values.entries()) expect(received[i].values[at]).toBeCloseTo(value, 5);
  });
});

/** h' = tanh(x W + h U + b) over the steps of x [batch, steps, features], in float64. */
function recurrent(graph: Graph, name: string, x: { shape: number[]; values: ArrayLike<number> }) {
  const [batch, steps, features] = x.shape;
  const of = (weight: string) => graph.constants.get(`${name}/${weight}`)!;
  const [W, U, b] = ['W', 'U', 'b'].map(of);
  const units = b.shape[0];
  const values = new Float64Array(batch * steps * units);
  const sum = (count: number, term: (i: number) => number) => {
    let total = 0;
    for (let i = 0; i < count; i++) total += term(i);
    return total;
  };
  for (let n = 0; n < batch; n++) {
    for (let t = 0; t < steps; t++) {
      for (let u = 0; u < units; u++) {
        const of = (step: number) => (n * steps + step) * units;
        const input = sum(
          features,
          (i) => x.values[(n * steps + t) * features + i] * W.values[i * units + u],
        );
        const before = t === 0 ? 0 : sum(units, (i) => values[of(t - 1) + i] * U.values[i * units + u]);
        values[of(t) + u] = Math.tanh(input + before + b.values[u]);
      }
    }
  }
  return { shape: [batch, steps, units], values };
}

test('two loops, the second on the results of the first, are written out and compute what their formula says', async () => {
  const graph = loopGraph(random, cell(), cell({ features: 8, units: 4 })).build('loop_1/sequence');
  const feeds = drawFeeds(graph, random);
  const [received] = await compute(optimize(graph).graph, toSample(feeds));
  const expected = recurrent(graph, 'loop_1', recurrent(graph, 'loop_0', feeds.x));
  expect(received.shape).toEqual(expected.shape);
  for (const [at, value] of expected.values.entries()) expect(received.values[at]).toBeCloseTo(value, 5);
});

test('what all steps compute of their inputs is one product', () => {
  const { graph } = optimize(loopGraph(random, cell(), cell({ features: 8 })).build('loop_1/sequence'));
  // Two loops: the product of all steps, and the recurrent one of each.
  expect(ops(graph).filter((op) => op === 'MatMul' || op === '_FusedMatMul')).toHaveLength(2 * (1 + 5));
  expect(inferShapes(graph).get('loop_1/sequence:0')).toEqual([-1, 5, 8]);
});

test('the turns share scales, weights and one region', async () => {
  const float = loopGraph(random, cell({ steps: 12, features: 32, units: 32 })).build('loop_0/sequence');
  const result = await quantize(optimize(float).graph, random);
  expect(result.plan.regions).toHaveLength(1);
  const [region] = result.plan.regions;
  expect(region.nodes.filter(({ op }) => op === 'MatMul')).toHaveLength(1 + 12);
  const stored = [...result.graph.constants.entries()].find(([name]) => name.endsWith('/weights'))!;
  // W and U once each, biases, scales and tables.
  expect(stored[1].values.byteLength).toBeLessThan(2 * 32 * 32 + 12 * 32 * 16);
  const sample = toSample(drawFeeds(float, random));
  const [expected, received] = [await compute(float, sample), await compute(result.graph, sample)];
  expect(signalToNoise(expected[0].values, received[0].values)).toBeGreaterThan(25);
});

test.each<[string, (graph: ReturnType<typeof loopGraph>) => ReturnType<typeof loopGraph>, RegExp]>([
  [
    'a number of turns that is an input',
    (g) => g.node('turns', 'Placeholder', [], { dtype: attr.dtype('int32'), shape: { shape: {} } }),
    /known only at run time/,
  ],
])('%s keeps the loop', (_, change, reason) => {
  const graph = change(loopGraph(random, cell({ turns: 'turns' }))).build('loop_0/sequence');
  const { graph: kept, changes } = unrollLoops.apply(graph);
  expect(kept).toBe(graph);
  expect(changes).toEqual([
    { pass: 'unroll-loops', node: 'loop_0', action: 'declined', detail: expect.stringMatching(reason) },
  ]);
});

test('more turns than 1,024 keep the loop', () => {
  const graph = loopGraph(random, cell({ steps: 1100, features: 1, units: 1 })).build('loop_0/last');
  expect(unrollLoops.apply(graph).changes).toEqual([
    {
      pass: 'unroll-loops',
      node: 'loop_0',
      action: 'declined',
      detail: expect.stringMatching(/more than 1024 turns/),
    },
  ]);
});
