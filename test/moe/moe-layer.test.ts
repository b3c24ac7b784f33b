// @needs engine
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { moe } from '../../src/moe/mixture';
import { attachExperts, gatesOf, MoELayer, writeExperts } from '../../src/moe/moe-layer';
import { fileSource } from '../../src/moe/store/file-source';

let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'lowbit-moe-layer-'));
});

afterAll(() => rm(folder, { recursive: true }));

function makeModel(args: object = {}): layers.LayersModel {
  const input = layers.input({ shape: [3, 12] });
  const first = new MoELayer({ experts: 4, topK: 2, hidden: 20, ...args }).apply(
    input,
  ) as layers.SymbolicTensor;
  const second = new MoELayer({ experts: 4, topK: 2, hidden: 20, ...args }).apply(
    first,
  ) as layers.SymbolicTensor;
  const model = layers.model({ inputs: input, outputs: second });
  // The same weights each time.
  const draw = ({ shape }: tf.Tensor, i: number) => tf.randomNormal(shape, 0, 0.25, 'float32', i + 1);
  model.setWeights(model.getWeights().map(draw));
  return model;
}

const draw = (shape: number[], seed = 1) => tf.randomNormal(shape, 0, 1, 'float32', seed);

/** Writes and opens the experts, with room for so many. */
async function open(model: layers.LayersModel, slots: number, format: 'int8' | 'uniform2' = 'int8') {
  const path = join(folder, `${format}.lbme`);
  await writeExperts(model, path, [{ format }]);
  return moe({ source: await fileSource(path), budgetBytes: slots * 4096, topK: 2, gates: gatesOf(model) });
}

test('predicts the same from experts on disk as in float, but for their rounding', async () => {
  const model = makeModel();
  const x = draw([5, 3, 12]);
  const float = (model.predict(x) as tf.Tensor).dataSync<'float32'>();
  const mixture = await open(model, 5);
  const before = tf.memory().numBytes;
  attachExperts(model, mixture);
  expect(tf.memory().numBytes).toBeLessThan(before - 2 * 4 * 2 * 12 * 20 * 4 + 1);
  const lowbit = (model.predict(x) as tf.Tensor).dataSync<'float32'>();
  const error = float.reduce((sum, value, i) => sum + (value - lowbit[i]!) ** 2, 0);
  const power = float.reduce((sum, value) => sum + value ** 2, 0);
  expect(10 * Math.log10(power / error)).toBeGreaterThan(35);
  expect(mixture.metrics.summary().evictions).toBeGreaterThan(0);
  await mixture.close();
});

test('learns, keeping experts busy', async () => {
  const balance = 1;
  const model = makeModel({ balance });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  const x = draw([64, 3, 12], 2);
  const y = tf.tanh(tf.mul(x, 2));
  const { history } = await model.fit(x, y, { epochs: 12, batchSize: 16, shuffle: false, verbose: 0 });
  // A layer whose experts are equally busy has a balance loss of 1.
  const [first, last] = [history.loss![0], history.loss!.at(-1)].map(
    (loss) => (loss as number) - 2 * balance,
  );
  expect(last).toBeGreaterThan(0);
  expect(last).toBeLessThan(0.6 * first!);
  const logits = tf.matMul(tf.reshape(x, [-1, 12]), tf.tensor2d(gatesOf(model)[0]!.kernel, [12, 4]));
  const share = tf.mean(tf.oneHot(tf.argMax(logits, 1), 4), 0).dataSync();
  expect(Math.min(...share)).toBeGreaterThan(0.1);
});

test('leaves no tensors behind', () => {
  const model = makeModel();
  const x = draw([2, 3, 12]);
  (model.predict(x) as tf.Tensor).dispose();
  const before = tf.memory().numTensors;
  for (let i = 0; i < 5; i++) (model.predict(x) as tf.Tensor).dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test('is saved and loaded with its options', async () => {
  const model = makeModel({ activation: 'silu' });
  const saved: tf.io.ModelArtifacts[] = [];
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved.push(artifacts);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  const loaded = await layers.loadLayersModel(tf.io.fromMemory(saved[0]!));
  const x = draw([1, 3, 12]);
  expect([...(loaded.predict(x) as tf.Tensor).dataSync()]).toEqual([
    ...(model.predict(x) as tf.Tensor).dataSync(),
  ]);
});

test('what does not fit is refused', async () => {
  expect(() => new MoELayer({ experts: 2, topK: 3, hidden: 4 })).toThrow('for topK');
  const model = makeModel();
  const mixture = await open(model, 8);
  const other = layers.sequential({
    layers: [new MoELayer({ experts: 4, topK: 2, hidden: 20, inputShape: [12] })],
  });
  expect(() => attachExperts(other, mixture)).toThrow('experts of 1 layers');
  const dense = layers.sequential({ layers: [layers.layers.dense({ units: 1, inputShape: [2] })] });
  await expect(writeExperts(dense, join(folder, 'none'))).rejects.toThrow('layers of the class MoELayer');
  await mixture.close();
});
