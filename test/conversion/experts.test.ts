// @needs engine
/** Models with MoELayers through `convert`, and what runs of them. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { median } from '../../src/base/median';
import { compare, convert, dryRun, inspect, inspectConverted, quantizeModel } from '../../src/convert';
import { attr } from '../../src/graph/attrs';
import { readModel } from '../../src/graph/read-model';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { engineInfo, fileSystem } from '../../src/index.node';
import { expertsOf } from '../../src/moe';
import { MoELayer } from '../../src/moe/moe-layer';
import { writeLayersModel } from '../support/layers';
import { Random } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

const WIDTH = 48;
const EXPERTS = 16;
const LAYERS = 2;
const TOP_K = 2;
const TOKENS = 32;
const MAIN = join(__dirname, '../../dist/src/cli/main.js');

/** Dense layers around two layers of experts; a third one shares its experts with the second. */
function makeModel(shape = [WIDTH], more: object = {}): tfl.LayersModel {
  const mixture = (name: string) => new MoELayer({ experts: EXPERTS, topK: TOP_K, hidden: 32, name });
  const input = tfl.input({ shape, name: 'x' });
  const shared = mixture('second');
  const apply = (layer: tfl.layers.Layer, x: tfl.SymbolicTensor) => layer.apply(x) as tfl.SymbolicTensor;
  const dense = (units: number, name: string) => tfl.layers.dense({ units, activation: 'relu', name });
  let x = apply(dense(WIDTH, 'before'), input);
  x = apply(new MoELayer({ experts: EXPERTS, topK: TOP_K, hidden: 32, name: 'first', ...more }), x);
  x = apply(shared, apply(shared, x));
  const model = tfl.model({ inputs: input, outputs: apply(dense(10, 'after'), x) });
  const random = new Random(4);
  const drawn = model.getWeights().map(({ shape: s }) =>
    tf.tensor(
      Float32Array.from({ length: s.reduce((a, b) => a * b, 1) }, () => random.real(-0.3, 0.3)),
      s,
    ),
  );
  model.setWeights(drawn);
  return model;
}

function draw(seed: number, shape: number[] = [TOKENS, WIDTH]): tf.Tensor {
  return tf.randomNormal(shape, 0, 1, 'float32', seed);
}

async function* samples() {
  for (let seed = 10; seed < 14; seed++) {
    const x = draw(seed);
    yield { x: { dtype: 'float32' as const, shape: x.shape, values: x.dataSync<'float32'>().slice() } };
  }
}

/**
 * Of the middle row, in dB: where two experts are about as good for a token, the rounding of what comes before may decide
 * for the other one.
 */
function signalToNoise(float: tf.Tensor, other: tf.Tensor): number {
  const [a, b] = [float.dataSync(), other.dataSync()];
  const units = float.shape.at(-1)!;
  const rows = Array.from({ length: a.length / units }, (_, row) => {
    let [power, noise] = [0, 0];
    for (let i = row * units; i < (row + 1) * units; i++) {
      power += a[i] ** 2;
      noise += (a[i] - b[i]) ** 2;
    }
    return 10 * Math.log10(power / noise);
  });
  return median(rows);
}

const load = (folder: string, experts = {}): Promise<GraphModel> =>
  loadGraphModel(fileSystem(join(folder, 'model.json'), { experts }));

let model: tfl.LayersModel;
let input: string;
let output: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  model = makeModel();
  input = await writeLayersModel(model, temporaryFolder());
  output = join(temporaryFolder(), 'converted');
  const report = await convert({ input, output, calibration: samples, experts: { budget: '25%' } });
  expect(report.experts).toMatchObject({ layers: LAYERS, experts: EXPERTS, topK: TOP_K, budget: '25%' });
  expect(report.quantized.filter(({ op }) => op === 'MixtureOfExperts')).toHaveLength(3);
  expect(report.float).toEqual([]);
  expect(report.bytes.after).toBe(
    readdirSync(output).reduce((sum, name) => sum + statSync(join(output, name)).size, 0),
  );
});

test.each(['cpu', 'wasm'])(
  'predicts what the float model does within a quarter of the memory of its experts, on %s',
  async (backend) => {
    expect(readdirSync(output).sort()).toEqual(['experts.lbme', 'group1-shard1of1.bin', 'model.json']);
    const x = draw(1);
    const float = model.predict(x) as tf.Tensor;
    await tf.setBackend(backend);
    const converted = await loadGraphModel(`file://${join(output, 'model.json')}`);
    expect(signalToNoise(float, converted.predict(x) as tf.Tensor)).toBeGreaterThan(25);
    const mixture = expertsOf(converted)!;
    expect(mixture.reservedBytes).toBe((LAYERS * EXPERTS * 4096) / 4);
    expect(mixture.metrics.summary().evictions).toBeGreaterThan(0);
    converted.dispose();
    await tf.setBackend('cpu');
  },
);

test('executeAsync computes the same numbers and does not block while it reads', async () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
  const [blocking, waiting] = [await load(output), await load(output, { inlineBytes: 0 })];
  const x = draw(2);
  const now = blocking.predict(x) as tf.Tensor;
  let turns = 0;
  let timer = setImmediate(function turn() {
    turns++;
    timer = setImmediate(turn);
  });
  const later = (await waiting.executeAsync(x)) as tf.Tensor;
  clearImmediate(timer);
  expect(turns).toBeGreaterThan(0);
  expect(later.dataSync()).toEqual(now.dataSync());
  expect(expertsOf(waiting)!.metrics.summary().misses).toBeGreaterThan(0);
  warn.mockRestore();
});

test('goes on when it is moved to another backend', async () => {
  const converted = await load(output);
  const x = draw(9);
  const float = model.predict(x) as tf.Tensor;
  for (const backend of ['cpu', 'wasm', 'wasm', 'cpu']) {
    await tf.setBackend(backend);
    expect(signalToNoise(float, converted.predict(x) as tf.Tensor)).toBeGreaterThan(25);
  }
  converted.dispose();
});

test('memory, routing and reading can be told anew when the model is loaded', async () => {
  const x = draw(3);
  const plain = await load(output, {
    budgetBytes: 6 * 4096,
    policy: 'affinity',
    direct: engineInfo().kind === 'native',
  });
  expect(expertsOf(plain)!.reservedBytes).toBe(6 * 4096);
  const float = model.predict(x) as tf.Tensor;
  expect(signalToNoise(float, plain.predict(x) as tf.Tensor)).toBeGreaterThan(25);
  const favouring = await load(output, { bonus: 0.5 });
  favouring.predict(x);
  expect(expertsOf(favouring)!.metrics.summary().changed).toBeGreaterThan(0);
  await expect(load(output, { budgetBytes: 4096 })).rejects.toThrow('4 experts of 4096 bytes need 16384');
});

test('keeps no tensors and closes the file with the model', async () => {
  const before = tf.memory().numTensors;
  const converted = await load(output);
  const mixture = expertsOf(converted)!;
  const x = draw(4);
  tf.dispose(converted.predict(x));
  const once = tf.memory().numTensors;
  for (let i = 0; i < 3; i++) tf.dispose(converted.predict(x));
  expect(tf.memory().numTensors).toBe(once);
  x.dispose();
  converted.dispose();
  expect(tf.memory().numTensors).toBe(before);
  await null;
  await expect(mixture.forward(0, new Float32Array(WIDTH), new Float32Array(EXPERTS))).rejects.toThrow(
    'closed',
  );
});

test('weights alone may be quantized, several precisions packed, sequences read', async () => {
  const sequences = makeModel([3, WIDTH]);
  const folder = join(temporaryFolder(), 'weights');
  const report = await convert({
    input: await writeLayersModel(sequences, temporaryFolder()),
    output: folder,
    activations: 'float32',
    experts: { formats: [{ format: 'int8' }, { format: 'uniform4', group: 32 }], budget: '50%' },
  });
  expect(report.experts!.precisions.map(({ name }) => name)).toEqual(['int8', 'uniform4']);
  const x = draw(5, [4, 3, WIDTH]);
  const float = sequences.predict(x) as tf.Tensor;
  const fine = (await load(folder)).predict(x) as tf.Tensor;
  expect(fine.shape).toEqual(float.shape);
  expect(signalToNoise(float, fine)).toBeGreaterThan(35);
  const coarse = (await load(folder, { precision: 'uniform4' })).predict(x) as tf.Tensor;
  expect(signalToNoise(float, coarse)).toBeGreaterThan(10);
});

test('a graph model that carries the op is converted like the layers', async () => {
  const folder = temporaryFolder();
  await writeGraphModel(await readModel(input), join(folder, 'graph'));
  const graph = join(folder, 'graph', 'model.json');
  const x = draw(6);
  const float = model.predict(x) as tf.Tensor;
  const loaded = await loadGraphModel(`file://${graph}`);
  expect(signalToNoise(float, loaded.predict(x) as tf.Tensor)).toBeGreaterThan(100);
  await convert({ input: graph, output: join(folder, 'int8'), calibration: samples });
  const converted = await load(join(folder, 'int8'));
  expect(signalToNoise(float, converted.predict(x) as tf.Tensor)).toBeGreaterThan(25);
});

test('a model of nothing but experts is converted', async () => {
  const alone = tfl.sequential({
    layers: [new MoELayer({ experts: 4, topK: 1, hidden: 24, activation: 'silu', inputShape: [WIDTH] })],
  });
  const from = await writeLayersModel(alone, temporaryFolder());
  const folder = join(temporaryFolder(), 'alone');
  await convert({ input: from, output: folder, calibration: 'random' });
  const x = draw(7);
  const lowbit = (await load(folder)).predict(x) as tf.Tensor;
  expect(signalToNoise(alone.predict(x) as tf.Tensor, lowbit)).toBeGreaterThan(35);
});

test('is looked into, compared and quantized in memory as other models are', async () => {
  expect((await inspect(input)).ops.map(({ op }) => op)).toContain('MixtureOfExperts');
  const { bytes } = await dryRun({ input, calibration: samples });
  expect(bytes.after / bytes.before).toBeGreaterThan(0.25);
  expect(bytes.after / bytes.before).toBeLessThan(0.5);
  const { layers, fileBytes } = await inspectConverted(join(output, 'model.json'));
  expect(layers.find(({ name }) => name.startsWith('first'))).toMatchObject({ weights: 'int8' });
  expect(fileBytes).toBeGreaterThan(LAYERS * EXPERTS * 4096);
  const lowbit = join(output, 'model.json');
  const report = await compare({ float: input, lowbit, samples, latencyRuns: 2, memory: false });
  expect(report.outputs[0].signalToNoise).toBeGreaterThan(5);
  const inMemory = await quantizeModel(model, draw(8));
  const x = draw(1);
  expect(signalToNoise(model.predict(x) as tf.Tensor, inMemory.predict(x) as tf.Tensor)).toBeGreaterThan(25);
});

describe('from the command line', () => {
  test('formats and budget are options', async () => {
    const folder = join(temporaryFolder(), 'cli');
    const data = join(temporaryFolder(), 'samples.mjs');
    writeFileSync(
      data,
      `export default async function* () {
        for (let i = 0; i < 4; i++) {
          const values = Float32Array.from({ length: ${WIDTH} }, (_, j) => Math.sin(i + j));
          yield { x: { dtype: 'float32', shape: [1, ${WIDTH}], values } };
        }
      }`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...[MAIN, 'convert', '--input', input, '--output', folder, '--calibration', data],
      ...['--experts', 'int8,uniform4', '--group', '32', '--expert-budget', '25%'],
    ]);
    expect(stdout).toMatch(/2 layer\(s\) of 16, top-2: int8 .* MB, uniform4 .* MB; in memory: 25%/);
    const { stdout: layers } = await promisify(execFile)(process.execPath, [
      ...[
        MAIN,
        'compare',
        '--float',
        input,
        '--lowbit',
        join(folder, 'model.json'),
        '--data',
        data,
        '--layers',
      ],
    ]);
    expect(layers).toContain('signal-to-noise');
  });
});

describe('refuses', () => {
  test('a container that was damaged, lost or cut', async () => {
    const folder = join(temporaryFolder(), 'damaged');
    await convert({ input, output: folder, calibration: samples });
    const path = join(folder, 'experts.lbme');
    const whole = readFileSync(path);
    const x = draw(1);
    const spoilt = Buffer.from(whole);
    for (let at = 4096 + 200; at < spoilt.length - 4096; at += 4096) spoilt[at] ^= 1;
    writeFileSync(path, spoilt);
    const damaged = await load(folder);
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
    const message = /Cannot read expert \d+ of layer 0 from .*experts.lbme: its checksum is wrong/;
    expect(() => damaged.predict(x)).toThrow(message);
    await expect(damaged.executeAsync(x)).rejects.toThrow(message);
    warn.mockRestore();
    writeFileSync(path, whole.subarray(0, whole.length - 10));
    await expect(load(folder)).rejects.toThrow('is no container of experts');
    writeFileSync(path, whole);
    tf.dispose((await load(folder)).predict(x));
    // An older output may be replaced, with its experts.
    await convert({ input, output: folder, calibration: samples });
    expect(readdirSync(folder)).toHaveLength(3);
  });

  test('a model whose experts were not opened', async () => {
    const artifacts = await fileSystem(join(output, 'model.json')).load!();
    const { node } = artifacts.modelTopology as { node: { op: string; attr: Record<string, unknown> }[] };
    for (const each of node) if (each.op === 'MixtureOfExperts') each.attr.store = attr.int(1e6);
    const copied = await loadGraphModel(tf.io.fromMemory(artifacts));
    expect(() => copied.predict(draw(1))).toThrow('load it from its files');
  });

  test('layers of experts that are unlike each other, and options that mean nothing; nothing is written', async () => {
    const from = await writeLayersModel(makeModel([WIDTH], { hidden: 24 }), temporaryFolder());
    const folder = temporaryFolder();
    const run = (more: object, path = input) =>
      convert({ input: path, output: join(folder, 'no'), calibration: samples, ...more });
    await expect(run({}, from)).rejects.toThrow('The layers of experts have to be alike');
    await expect(run({ experts: { budget: 'much' } })).rejects.toThrow('raspberry-pi-5');
    await expect(run({ experts: { formats: [{ format: 'int5' }] } })).rejects.toThrow('int5');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('to go on once cancelled; nothing is written', async () => {
    const folder = temporaryFolder();
    const aborter = new AbortController();
    const onProgress = ({ stage, done }: { stage: string; done: number }) => {
      if (stage === 'pack experts' && done === 5) aborter.abort();
    };
    const { signal } = aborter;
    const run = convert({ input, output: join(folder, 'no'), calibration: samples, signal, onProgress });
    await expect(run).rejects.toThrow('cancelled');
    expect(readdirSync(folder)).toEqual([]);
  });
});
