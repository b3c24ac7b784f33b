// @needs engine
/** Weights of programs that TF.js does not keep a copy of. */
import { join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { convertGraph } from '../../src/conversion/convert-graph';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { fileSystem } from '../../src/index.node';
import { takeWeights } from '../../src/runtime/held-weights';
import { drawFeeds, execute, FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

const random = randomOf('held weights', 0);
const WEIGHTS = 400 * 400;

const graph = new FloatGraph(random)
  .input('x', [-1, 400])
  .weights('w', [400, 400])
  .node('y', 'MatMul', ['x', 'w'], { transpose_a: { b: false }, transpose_b: { b: false } })
  .build('y');

let location: string;
let expected: Float32Array;
const feeds = drawFeeds(graph, random);

beforeAll(async () => {
  const { graph: converted } = await convertGraph(graph, undefined, { activations: 'float32' });
  const folder = join(temporaryFolder(), 'model');
  await writeGraphModel(converted, folder);
  location = join(folder, 'model.json');
  expected = (await execute(converted, feeds))[0].values;
});

function predict(model: { predict(x: tf.Tensor): unknown }): Float32Array {
  const { values, shape } = feeds.x;
  return (model.predict(tf.tensor(values, shape)) as tf.Tensor).dataSync() as Float32Array;
}

test('a loaded model computes the same, and TF.js holds none of its weights', async () => {
  const before = tf.memory().numBytes;
  const model = await loadGraphModel(fileSystem(location));
  expect(tf.memory().numBytes - before).toBeLessThan(WEIGHTS / 10);
  expect(predict(model)).toEqual(expected);
  expect(predict(model)).toEqual(expected);
  model.dispose();
});

test('two models of the same files are apart', async () => {
  const models = [await loadGraphModel(fileSystem(location)), await loadGraphModel(fileSystem(location))];
  predict(models[0]);
  models[0].dispose();
  expect(predict(models[1])).toEqual(expected);
  models[1].dispose();
});

test('a saved model has its weights', async () => {
  const model = await loadGraphModel(fileSystem(location));
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = { ...artifacts };
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  model.dispose();
  expect((saved!.weightData as ArrayBuffer).byteLength).toBeGreaterThan(WEIGHTS);
  const again = await loadGraphModel(tf.io.fromMemory(saved!));
  expect(predict(again)).toEqual(expected);
  again.dispose();
});

test('words that stand for the weights of a model that is gone are told', () => {
  const token = Int32Array.of(0x5748424c, process.pid, 10 ** 6, 5);
  expect(() => takeWeights(token)).toThrow(/weights of a quantized region are not in this model/);
  const plain = Int32Array.of(1, 2, 3, 4);
  expect(takeWeights(plain)).toBe(plain);
});
