/** Graphs with large weights, run in segments, against the same graphs run as a whole. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { attr } from '../../src/graph/attrs';
import { output, refKey } from '../../src/graph/edit';
import type { Graph, Sample, TensorRef } from '../../src/graph/ir';
import { importBackend, withBackend } from '../../src/tfjs/backends';
import { LoadedGraph } from '../../src/tfjs/loaded-graph';
import { loadGraph, runSamples } from '../../src/tfjs/run-samples';
import { runsInSegments, segmentsOf } from '../../src/tfjs/segments';
import { withSplitProducts } from '../../src/tfjs/split-large-products';
import { FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { randomOf } from '../support/random';

const SIZE = 1024;
const float = { T: attr.dtype('float32') };

/** Ten products of 4 MiB, with a skip connection, a split and a comparison whose results are read by later segments. */
function largeGraph(): FloatGraph {
  const random = randomOf('run samples', 0);
  const graph = new FloatGraph(random)
    .input('x', [-1, SIZE])
    .constant('axis', [], [1], 'int32')
    .constant('mean', [], [0.5]);
  const block = Float32Array.from({ length: SIZE ** 2 }, () => random.real(-0.08, 0.08));
  for (let i = 0; i < 10; i++) graph.constant(`w${i}`, [SIZE, SIZE], rotated(block, i));
  return graph;
}

function rotated(block: Float32Array, by: number): Float32Array {
  return block.map((_, i) => block[(i + 7919 * by) % block.length]);
}

function product(graph: FloatGraph, i: number, from: string): string {
  graph.node(`p${i}`, 'MatMul', [from, `w${i}`], float);
  return `p${i}`;
}

function chain(): Graph {
  const graph = largeGraph();
  let last = 'x';
  for (let i = 0; i < 4; i++) last = product(graph, i, last);
  graph
    .node('above', 'Greater', ['p0', 'mean'], float)
    .node('parts', 'Split', ['axis', last], { ...float, num_split: attr.int(2) });
  for (let i = 4; i < 9; i++) last = product(graph, i, last);
  graph
    .node('swapped', 'ConcatV2', ['parts:1', 'parts:0', 'axis'], { ...float, N: attr.int(2) })
    .node('sum', 'AddV2', [last, 'swapped'], float)
    .node('y', 'SelectV2', ['above', 'sum', 'x'], float);
  return graph.node('z', 'MatMul', ['y', 'w9'], float).build('z');
}

function samplesOf(count: number): Sample[] {
  const random = randomOf('run samples', 1);
  return Array.from({ length: count }, () => ({
    x: {
      dtype: 'float32',
      shape: [2, SIZE],
      values: Float32Array.from({ length: 2 * SIZE }, () => random.real(-1, 1)),
    },
  }));
}

async function collect(
  run: (visit: (tensor: tf.Tensor, index: number) => void) => Promise<unknown>,
  refs: readonly TensorRef[],
): Promise<Record<string, number[][]>> {
  const found: Record<string, number[][]> = Object.fromEntries(refs.map((ref) => [refKey(ref), []]));
  await run((tensor, i) => found[refKey(refs[i])].push([...tensor.dataSync()]));
  return found;
}

const graph = chain();
const REFS = ['x', 'p1', 'p6', 'sum', 'z'].map((name) => output(name)).concat(output('parts', 1));

beforeEach(() => tf.setBackend('cpu'));

test('segments compute the same to the bit, every tensor in the order of the samples', async () => {
  expect(segmentsOf(graph, REFS).length).toBeGreaterThan(2);
  // More than are run together.
  const samples = samplesOf(9);
  await withBackend(await importBackend(), async () => {
    const { numTensors } = tf.memory();
    const received = await collect((visit) => runSamples(graph, samples, REFS, visit), REFS);
    expect(tf.memory().numTensors).toBe(numTensors);
    const model = await LoadedGraph.load(graph);
    const expected = await collect(async (visit) => {
      for (const sample of samples) await model.run(sample, REFS, visit);
    }, REFS);
    model.dispose();
    expect(received).toEqual(expected);
  });
});

test('samples whose memory is used again give what they held', async () => {
  const [first, second] = samplesOf(2);
  const refs = [output('p0')];
  const reusing = async function* () {
    const x = { ...first.x, values: first.x.values.slice() };
    yield { x };
    x.values.set(second.x.values as Float32Array);
    yield { x };
  };
  const run = (samples: AsyncIterable<Sample> | Sample[]) =>
    collect((visit) => runSamples(graph, samples, [...refs, output('z')], visit), [...refs, output('z')]);
  expect(await run(reusing())).toEqual(await run([first, second]));
});

test('an error names its node and leaves no tensors behind', async () => {
  const wrong = { x: { ...samplesOf(1)[0].x, shape: [1, 2 * SIZE] } };
  const { numTensors } = tf.memory();
  await expect(runSamples(graph, [wrong], REFS, () => {})).rejects.toThrow("MatMul 'p0'");
  await expect(
    runSamples(graph, samplesOf(3), REFS, () => {
      throw new Error('refused');
    }),
  ).rejects.toThrow('refused');
  expect(tf.memory().numTensors).toBe(numTensors);
});

test('stops between segments on abort', async () => {
  const controller = new AbortController();
  const visited: number[] = [];
  const run = runSamples(
    graph,
    samplesOf(2),
    REFS,
    (_, i) => {
      visited.push(i);
      controller.abort();
    },
    controller.signal,
  );
  await expect(run).rejects.toMatchObject({ code: 'cancelled' });
  expect(visited).not.toContain(REFS.findIndex(({ node }) => node === 'z'));
});

test('what holds state, small graphs and inputs with values of their own are run as a whole', () => {
  const small = new FloatGraph(randomOf('run samples', 2))
    .input('x', [1, 4])
    .weights('w', [4, 4])
    .node('y', 'MatMul', ['x', 'w'], float)
    .build('y');
  expect(runsInSegments(graph, REFS)).toBe(true);
  expect(runsInSegments(small, [output('y')])).toBe(false);
  const ops = [
    'Switch',
    'Enter',
    'If',
    'StatelessWhile',
    'TensorListReserve',
    'HashTableV2',
    'TensorArrayReadV3',
  ];
  for (const op of ops) {
    const nodes = new Map(graph.nodes).set('p5', { ...graph.nodes.get('p5')!, op });
    expect(runsInSegments({ ...graph, nodes }, REFS)).toBe(false);
  }
  const inputs = graph.inputs.map((input) => ({ ...input, optional: true as const }));
  expect(runsInSegments({ ...graph, inputs }, REFS)).toBe(false);
});

test('a graph that is run again with a tensor in its middle given computes the same, and leaves what it was fed', async () => {
  const [sample] = samplesOf(1);
  const { numTensors } = tf.memory();
  const segmented = await loadGraph(graph, REFS);
  const whole = await LoadedGraph.load(graph);
  expect(segmented).not.toBeInstanceOf(LoadedGraph);
  const feeds = segmented.feed(sample);
  const results = await Promise.all([segmented, whole].map((model) => model.execute(feeds, REFS)));
  const middle = tf.neg(results[0][REFS.findIndex(({ node }) => node === 'p6')]);
  const given = { ...feeds, 'p6:0': middle };
  const again = [output('z'), output('p6'), output('x')];
  results.push(...(await Promise.all([segmented, whole].map((model) => model.execute(given, again)))));
  const [a, b, c, d] = results.map((tensors) => tensors.map((tensor) => [...tensor.dataSync()]));
  expect(a).toEqual(b);
  expect(c).toEqual(d);
  expect(c[0]).not.toEqual(a[4]);
  expect(middle.isDisposed).toBe(false);
  tf.dispose([results, middle, feeds]);
  segmented.dispose();
  whole.dispose();
  expect(tf.memory().numTensors).toBe(numTensors);
});

describe('layers whose weights are larger than a segment', () => {
  const fused =
    (name: string, ...inputs: string[]) =>
    (graph: FloatGraph) =>
      graph.node(name, name.startsWith('conv') ? '_FusedConv2D' : '_FusedMatMul', inputs, {
        ...(name.startsWith('conv') ? windowAttrs({ strides: 2 }) : float),
        ...fusedAttrs(['BiasAdd', 'Relu']),
      });
  const cases: [string, number[], number[], (graph: FloatGraph) => FloatGraph][] = [
    ['dense', [2, 65], [65, 999], (graph) => graph.node('y', 'MatMul', ['x', 'w'], float)],
    [
      'transposed dense',
      [2, 65],
      [999, 65],
      (graph) => graph.node('y', 'MatMul', ['x', 'w'], { ...float, transpose_b: { b: true } }),
    ],
    ['fused dense', [2, 65], [65, 999], fused('y', 'x', 'w', 'b')],
    [
      'convolution',
      [1, 6, 5, 7],
      [3, 3, 7, 999],
      (graph) => graph.node('y', 'Conv2D', ['x', 'w'], windowAttrs()),
    ],
    ['fused convolution', [1, 6, 5, 7], [3, 3, 7, 999], fused('conv', 'x', 'w', 'b')],
  ];
  test.each(cases)('compute the same in parts: %s', async (name, input, weights, add) => {
    const random = randomOf('split products', 0);
    const graph = add(
      new FloatGraph(random).input('x', input).weights('w', weights).weights('b', [999]),
    ).build(name === 'fused convolution' ? 'conv' : 'y');
    const split = withSplitProducts(graph, 100_000);
    expect(split.nodes.size).toBeGreaterThan(graph.nodes.size + 4);
    const values = Float32Array.from({ length: input.reduce((p, d) => p * d) }, () => random.real(-1, 1));
    const samples: Sample[] = [{ x: { dtype: 'float32', shape: input, values } }];
    const ref = graph.outputs[0].ref;
    const [whole, parts] = await Promise.all(
      [graph, split].map((each) => collect((visit) => runSamples(each, samples, [ref], visit), [ref])),
    );
    expect(parts).toEqual(whole);
  });
});
