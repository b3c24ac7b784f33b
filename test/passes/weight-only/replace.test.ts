// @needs engine
import '../../../src/index.node';
import { inferShapes } from '../../../src/graph/infer-shapes';
import type { Graph } from '../../../src/graph/ir';
import { encodeLayer } from '../../../src/passes/quantize/lower/encode-layer';
import { findWeighted, type Product, type Table, type Weighted } from '../../../src/passes/weight-only/find';
import { replaceWeighted } from '../../../src/passes/weight-only/replace';
import { rowsOf } from '../../../src/passes/weight-only/store-rows';
import { signalToNoise } from '../../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, fusedAttrs, ops } from '../../support/float-graph';
import { type Random, randomOf } from '../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

function weightedOf(graph: Graph): Map<string, Weighted> {
  const found = findWeighted(graph, inferShapes(graph));
  return new Map([...found].filter((entry): entry is [string, Weighted] => typeof entry[1] !== 'string'));
}

async function fidelity(before: Graph, after: Graph): Promise<number> {
  const feeds = drawFeeds(before, random);
  const [[expected], [received]] = [await execute(before, feeds), await execute(after, feeds)];
  expect(received.shape).toEqual(expected.shape);
  return signalToNoise(expected.values, received.values);
}

/** x [-1, 64] -> relu(x w + bias) [-1, 32] */
function dense(): Graph {
  return new FloatGraph(random)
    .input('x', [-1, 64])
    .weights('w', [64, 32])
    .weights('bias', [32])
    .node('y', '_FusedMatMul', ['x', 'w', 'bias'], fusedAttrs(['BiasAdd', 'Relu']))
    .build('y');
}

test('a dense layer with INT8 weights computes nearly the same on float32', async () => {
  const graph = dense();
  const { graph: replaced, weightFidelity } = replaceWeighted(graph, weightedOf(graph), new Map());
  expect(ops(replaced)).toEqual(['QuantizedRegion']);
  expect(weightFidelity.get('y')).toBeGreaterThan(40);
  const decibels = await fidelity(graph, replaced);
  expect(decibels).toBeGreaterThan(40);
  expect(decibels).toBeCloseTo(weightFidelity.get('y')!, -1);
});

test.each([undefined, { block: 64, seed: 1 }])(
  'a dense layer with 4-bit weights (rotation %p)',
  async (rotation) => {
    const graph = dense();
    const weighted = weightedOf(graph);
    const { op } = weighted.get('y') as Product;
    const layer = { format: 'uniform4' as const, group: 32, ...(rotation && { rotation }) };
    const encoded = encodeLayer(op, layer, {});
    const { graph: replaced, weightFidelity } = replaceWeighted(graph, weighted, new Map([['y', encoded]]));
    expect(weightFidelity.get('y')).toBe(encoded.signalToNoise);
    expect(await fidelity(graph, replaced)).toBeGreaterThan(encoded.signalToNoise - 3);
  },
);

test('a table of embeddings keeps its name and gives the rows that the indices name', async () => {
  const graph = new FloatGraph(random)
    .input('x', [2, 16])
    .weights('embeddings', [10, 16])
    .constant('indices', [2], [9, 3], 'int32')
    .constant('axis', [], [0], 'int32')
    .node('rows', 'GatherV2', ['embeddings', 'indices', 'axis'])
    .node('y', 'AddV2', ['x', 'rows'])
    .build('y');
  const weighted = weightedOf(graph);
  expect(rowsOf(weighted.get('rows') as Table)).toMatchObject({ rows: 10, depth: 16 });
  const { graph: replaced } = replaceWeighted(graph, weighted, new Map());
  expect(replaced.nodes.get('rows')?.op).toBe('QuantizedGather');
  expect(await fidelity(graph, replaced)).toBeGreaterThan(40);
});
