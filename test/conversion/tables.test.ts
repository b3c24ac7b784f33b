// @needs engine
/** Tables of embeddings in models with INT8 activations. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { convertGraph } from '../../src/conversion/convert-graph';
import type { QuantizationOptions } from '../../src/conversion/options/options';
import { attr } from '../../src/graph/attrs';
import type { Graph, Sample } from '../../src/graph/ir';
import { constantBytes } from '../../src/graph/weights';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import '../../src/index.node';
import { signalToNoise } from '../../src/quantization/metrics';
import { execute, FloatGraph, ops } from '../support/float-graph';
import { type Random, randomOf } from '../support/random';

const [ROWS, DEPTH, LENGTH] = [1200, 64, 6];

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

/** Numbers of words, float32 as TF.js feeds them, then int32. */
function words(graph: FloatGraph, name: string): FloatGraph {
  return graph
    .input(name, [-1, LENGTH])
    .node(`${name}/ids`, 'Cast', [name], { SrcT: attr.dtype('float32'), DstT: attr.dtype('int32') });
}

function embed(graph: FloatGraph, name: string, table = 'table'): FloatGraph {
  return words(graph, name).node(`${name}/rows`, 'GatherV2', [table, `${name}/ids`, 'axis']);
}

/** A table, and a layer on the mean of a sentence's rows. */
function sentence(rows = ROWS): FloatGraph {
  const graph = new FloatGraph(random)
    .constant('axis', [], [0], 'int32')
    .constant('positions', [1], [1], 'int32')
    .weights('table', [rows, DEPTH])
    .weights('w', [DEPTH, DEPTH]);
  return embed(graph, 'x').node('mean', 'Mean', ['x/rows', 'positions']).node('y', 'MatMul', ['mean', 'w']);
}

/** The words that follow, by the product with the same table. */
function tied(): Graph {
  return sentence()
    .node('logits', 'MatMul', ['y', 'table'], { transpose_b: attr.bool(true) })
    .build('logits');
}

function drawWords(graph: Graph, sentences = 4) {
  const draw = () => Float32Array.from({ length: sentences * LENGTH }, () => random.int(0, ROWS - 1));
  return Object.fromEntries(
    graph.inputs.map(({ name }) => [name, { shape: [sentences, LENGTH], values: draw() }]),
  );
}

function samplesOf(graph: Graph) {
  const samples = Array.from({ length: 12 }, (): Sample => {
    const feeds = Object.entries(drawWords(graph));
    return Object.fromEntries(feeds.map(([name, feed]) => [name, { dtype: 'float32', ...feed }]));
  });
  return async function* () {
    yield* samples;
  };
}

async function fidelity(float: Graph, converted: Graph): Promise<number> {
  const feeds = drawWords(float);
  const [[expected], [received]] = [await execute(float, feeds), await execute(converted, feeds)];
  expect(received.shape).toEqual(expected.shape);
  return signalToNoise(expected.values, received.values);
}

const withoutData = (graph: Graph, options: QuantizationOptions = {}) =>
  convertGraph(graph, undefined, options);

function bytesOf({ constants }: Graph): number {
  return [...constants.values()].reduce((sum, constant) => sum + constantBytes(constant), 0);
}

const INT8_ROWS = ROWS * (DEPTH + 4);

test.each(['dynamic', 'static'])('a table is stored in INT8, a scale for each row (%s)', async (mode) => {
  const graph = sentence().build('y');
  const data = mode === 'static' ? samplesOf(graph) : undefined;
  const { graph: converted, quantized, config } = await convertGraph(graph, data, {});
  expect(ops(converted)).toContain('QuantizedGather');
  expect(quantized).toContainEqual({
    name: 'x/rows',
    op: 'GatherV2',
    weights: 'int8',
    bitsPerWeight: 8.5,
    weightSignalToNoise: expect.any(Number),
  });
  expect(converted.constants.has('table')).toBe(false);
  expect(bytesOf(converted)).toBeLessThan(INT8_ROWS + 2 * DEPTH * DEPTH);
  expect(await fidelity(graph, converted)).toBeGreaterThan(mode === 'static' ? 30 : 35);
  const again = await convertGraph(graph, data, { config });
  expect(again.graph.constants).toEqual(converted.constants);
});

test('lookups in one table store it once', async () => {
  const graph = embed(sentence(), 'z')
    .node('z/mean', 'Mean', ['z/rows', 'positions'])
    .node('sum', 'AddV2', ['y', 'z/mean'])
    .build('sum');
  const { graph: converted, quantized, bitsPerWeight } = await withoutData(graph);
  const [first, second] = ['x/rows', 'z/rows'].map((name) => converted.nodes.get(name)!);
  expect(second.inputs.slice(1)).toEqual(first.inputs.slice(1));
  expect(quantized.find(({ name }) => name === 'z/rows')).toMatchObject({ storedBy: 'x/rows' });
  expect(bitsPerWeight).toBeCloseTo(8.5, 5);
  expect(await fidelity(graph, converted)).toBeGreaterThan(35);
});

test.each(['dynamic', 'static', 'weights only'])(
  'a table that is the weights of a layer too is stored once (%s)',
  async (mode) => {
    const graph = tied();
    const data = mode === 'static' ? samplesOf(graph) : undefined;
    const options = mode === 'weights only' ? { activations: 'float32' as const } : {};
    const { graph: converted, quantized, bitsPerWeight } = await convertGraph(graph, data, options);
    expect(quantized.find(({ name }) => name === 'x/rows')).toMatchObject({ storedBy: 'logits' });
    expect(bytesOf(converted)).toBeLessThan(1.2 * INT8_ROWS);
    expect(bitsPerWeight).toBeCloseTo(8.5, 5);
    expect(await fidelity(graph, converted)).toBeGreaterThan(mode === 'static' ? 28 : 35);
  },
);

test('weights that a layer and a table share are read from the files once the model is loaded', async () => {
  const graph = tied();
  const { graph: converted } = await withoutData(graph);
  const folder = mkdtempSync(join(tmpdir(), 'tables-'));
  try {
    await writeGraphModel(converted, folder);
    const model = await loadGraphModel(`file://${join(folder, 'model.json')}`);
    const [{ shape, values }] = Object.values(drawWords(graph));
    const [expected] = await execute(graph, { x: { shape, values } });
    for (let run = 0; run < 2; run++) {
      const received = tf.tidy(() => (model.predict(tf.tensor(values, shape)) as tf.Tensor).dataSync());
      expect(signalToNoise(expected.values, received)).toBeGreaterThan(35);
    }
    model.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('weights of fewer bits are for tables that a pattern names', async () => {
  const graph = sentence().build('y');
  const all = await withoutData(graph, { weights: 'uniform4' });
  expect(all.quantized.find(({ name }) => name === 'x/rows')).toMatchObject({
    weights: 'int8',
    weightsReason: 'it is a table before the first layer',
  });
  const layers = [{ match: 'x/rows', weights: 'uniform4' as const, group: 32 as const }];
  const named = await withoutData(graph, { config: { layers } });
  expect(named.quantized.find(({ name }) => name === 'x/rows')).toMatchObject({
    weights: 'uniform4',
    group: 32,
    bitsPerWeight: 4.502,
  });
  expect(bytesOf(named.graph)).toBeLessThan(0.65 * bytesOf(all.graph));
  expect(await fidelity(graph, named.graph)).toBeGreaterThan(15);
  const again = await withoutData(graph, { config: named.config });
  expect(again.graph.constants).toEqual(named.graph.constants);
});

test.each<[string, (table: Float32Array) => [number, Float32Array]]>([
  ['its table has only 2560 numbers', (table) => [40, table.slice(0, 2560)]],
  ['the rows of its table have only 4 numbers', (table) => [19200, table]],
  ['its table holds whole numbers', (table) => [ROWS, table.map(Math.round)]],
  [
    'its table holds infinity or NaN, for which there is no code',
    (table) => [ROWS, table.fill(Number.NEGATIVE_INFINITY, 7, 8)],
  ],
])('a table stays float: %s', async (reason, change) => {
  const plain = sentence().node('out', 'Identity', ['x/rows']).build('y', 'out');
  const [rows, values] = change(plain.constants.get('table')!.values.slice() as Float32Array);
  const constants = new Map(plain.constants);
  constants.set('table', { dtype: 'float32', shape: [rows, values.length / rows], values });
  if (values.length / rows !== DEPTH)
    constants.set('w', { dtype: 'float32', shape: [4, 4], values: values.slice(0, 16) });
  const { float } = await withoutData({ ...plain, constants });
  expect(float).toContainEqual({ name: 'x/rows', op: 'GatherV2', reason });
});

test('a configuration leaves a table in float', async () => {
  const graph = sentence().build('y');
  const layers = [{ match: 'x/rows', bits: 'float' as const }];
  const { graph: converted } = await withoutData(graph, { config: { layers } });
  expect(converted.constants.has('table')).toBe(true);
});

test('the search leaves a table in float whose rows have no form in 8 bits', async () => {
  const graph = sentence().build('y');
  // One number of each row is large, and no layer reads it.
  const table = Float32Array.from(graph.constants.get('table')!.values, (value, i) =>
    i % DEPTH === 0 ? 2000 * value : value,
  );
  const w = Float32Array.from(graph.constants.get('w')!.values, (value, i) => (i < DEPTH ? 0 : value));
  const constants = new Map(graph.constants);
  constants.set('table', { dtype: 'float32', shape: [ROWS, DEPTH], values: table });
  constants.set('w', { dtype: 'float32', shape: [DEPTH, DEPTH], values: w });
  const harsh = { ...graph, constants };
  const { recipe, float, graph: converted, config } = await convertGraph(harsh, samplesOf(harsh), {});
  expect(recipe!.steps.map(({ name }) => name)).toContain('tables in float');
  expect(float.map(({ name }) => name)).toContain('x/rows');
  expect(await fidelity(harsh, converted)).toBeGreaterThan(25);
  const again = await convertGraph(harsh, samplesOf(harsh), { config });
  expect(again.graph.constants.has('table')).toBe(true);
});
