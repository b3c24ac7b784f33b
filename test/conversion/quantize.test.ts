// @needs engine
/** Models in memory: what quantize takes and gives. */
import '@tensorflow/tfjs-backend-cpu';
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {
  input,
  type LayersModel,
  layers,
  model as makeModel,
  type SymbolicTensor,
  sequential,
} from '@tensorflow/tfjs-layers';
import { type QuantizedModel, quantizeModel } from '../../src/convert';
import { fileSystem } from '../../src/index.node';
import { signalToNoise } from '../../src/quantization/metrics';
import { drawWeights } from '../support/layers';
import { Random, TEST_SEED } from '../support/random';
import { TINY_SIZE, writeTinyModel } from '../support/tiny-model';

const SHAPE = [8, 8, 3];

beforeAll(() => tf.setBackend('cpu'));

/** The same smooth pictures for the same number. */
function images(count: number, phase = 0, shape: number[] = SHAPE): tf.Tensor {
  const size = shape.reduce((p, d) => p * d, 1);
  return tf.tensor(
    Float32Array.from({ length: count * size }, (_, i) => Math.sin(0.37 * i + phase)),
    [count, ...shape],
  );
}

function classifier(): LayersModel {
  const model = sequential({
    layers: [
      layers.conv2d({
        inputShape: SHAPE as [number, number, number],
        filters: 8,
        kernelSize: 3,
      }),
      layers.batchNormalization({}),
      layers.reLU({}),
      layers.globalAveragePooling2d({}),
      layers.dense({ units: 4, name: 'classes' }),
    ],
  });
  drawWeights(model, new Random(TEST_SEED));
  return model;
}

/** Two pictures in, their common features and the scores out. */
function twoByTwo(): LayersModel {
  const [left, right] = ['left', 'right'].map((name) => input({ shape: SHAPE, name }));
  const conv = layers.conv2d({ filters: 4, kernelSize: 3 });
  const sum = layers
    .add({ name: 'features' })
    .apply([left, right].map((x) => conv.apply(x) as SymbolicTensor)) as SymbolicTensor;
  const scores = layers
    .dense({ units: 3, name: 'scores' })
    .apply(layers.flatten().apply(sum)) as SymbolicTensor;
  return makeModel({ inputs: [left, right], outputs: [sum, scores] });
}

async function artifacts(model: GraphModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts = {};
  const handler = tf.io.withSaveHandler(async (given) => {
    saved = given;
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
  });
  await model.save(handler);
  return saved;
}

function fidelity(expected: tf.Tensor, received: tf.Tensor): number {
  expect(received.shape).toEqual(expected.shape);
  return signalToNoise(expected.dataSync() as Float32Array, received.dataSync() as Float32Array);
}

let float: LayersModel;
let int8: QuantizedModel<LayersModel>;

beforeAll(async () => {
  float = classifier();
  int8 = await quantizeModel(float, images(16));
});

test('predicts as the layers model does, one sample or several', () => {
  for (const count of [1, 5]) {
    const x = images(count, 0.5);
    expect(fidelity(float.predict(x) as tf.Tensor, int8.predict(x) as tf.Tensor)).toBeGreaterThan(25);
  }
  expect(int8.inputs).toEqual([{ name: expect.any(String), dtype: 'float32', shape: [null, ...SHAPE] }]);
  expect(int8.outputs).toEqual([{ name: 'classes', dtype: 'float32', shape: [null, 4] }]);
  expect(int8.report.macs.percent).toBe(100);
  expect(int8.report.calibration.samples).toBe(12);
});

test('predicts from tensors in order or by name, and gives one for each output', async () => {
  const model = twoByTwo();
  const quantized = await quantizeModel(model, [
    [images(4), images(4, 1)],
    { left: images(4, 2), right: images(4, 3) },
  ]);
  const x = [images(2, 0.3), images(2, 1.3)];
  const expected = model.predict(x) as tf.Tensor[];
  const inOrder = quantized.predict(x) as tf.Tensor[];
  const byName = quantized.predict({ right: x[1], left: x[0] }) as tf.Tensor[];
  expected.forEach((tensor, i) => {
    expect(fidelity(tensor, inOrder[i])).toBeGreaterThan(25);
    expect(fidelity(inOrder[i], byName[i])).toBe(Number.POSITIVE_INFINITY);
  });
  const scores = quantized.execute(x, 'scores') as tf.Tensor;
  expect(fidelity(inOrder[1], scores)).toBe(Number.POSITIVE_INFINITY);
});

test('quantizes a graph model', async () => {
  const model: GraphModel = await loadGraphModel(fileSystem(writeTinyModel()) as unknown as string);
  const shape = [TINY_SIZE, TINY_SIZE, 3];
  const quantized = await quantizeModel(model, images(8, 0, shape));
  const x = images(3, 0.2, shape);
  const [expected, received] = [model, quantized].map((m) => m.predict(x) as tf.Tensor[]);
  expect(fidelity(expected[1], received[1])).toBeGreaterThan(20);
  model.dispose();
  quantized.dispose();
});

test('names its outputs if the source does', async () => {
  const source = await artifacts(await loadGraphModel(fileSystem(writeTinyModel()) as unknown as string));
  const keys = { structuredOutputKeys: ['chances', 'raw'] };
  const model = await loadGraphModel(
    tf.io.fromMemory({ ...source, userDefinedMetadata: keys }) as unknown as string,
  );
  const shape = [TINY_SIZE, TINY_SIZE, 3];
  const quantized = await quantizeModel(model, images(4, 0, shape));
  const x = images(2, 0.2, shape);
  const received = quantized.predict(x) as tf.NamedTensorMap;
  const again = (await quantized.predictAsync(x)) as tf.NamedTensorMap;
  const expected = model.predict(x) as tf.NamedTensorMap;
  expect(Object.keys(received)).toEqual(Object.keys(expected));
  expect(fidelity(expected.raw, received.raw)).toBeGreaterThan(20);
  expect(fidelity(received.chances, again.chances)).toBe(Number.POSITIVE_INFINITY);
});

test.each<[string, () => Parameters<typeof quantizeModel>[1]]>([
  ['an array of batches', () => [images(8), images(8, 8 * 192 * 0.37)]],
  ['an array of samples without the batch dimension', () => tf.unstack(images(16))],
  [
    'a generator that disposes what it yielded',
    function* () {
      for (let i = 0; i < 16; i++) {
        const image = images(1, i * 192 * 0.37);
        yield image;
        image.dispose();
      }
    },
  ],
  [
    'an asynchronous generator',
    async function* () {
      yield images(16);
    },
  ],
])('calibrates alike on %s', async (_, data) => {
  const again = await quantizeModel(float, data() as tf.Tensor);
  expect(again.report.calibration.samples).toBe(12);
  const x = images(2, 0.1);
  expect(fidelity(int8.predict(x) as tf.Tensor, again.predict(x) as tf.Tensor)).toBeGreaterThan(60);
  again.dispose();
});

test('leaves the source and the data alone, and nothing behind when disposed', async () => {
  const data = images(4);
  const before = tf.memory().numTensors;
  const quantized = await quantizeModel(float, data);
  tf.dispose(quantized.predict(data));
  quantized.dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(data.isDisposed).toBe(false);
  expect((float.predict(data) as tf.Tensor).shape).toEqual([4, 4]);
});

test('takes a source of samples as convert does', async () => {
  const quantized = await quantizeModel(float, async function* ([{ name }]) {
    yield { [name]: { dtype: 'float32', shape: [1, ...SHAPE], values: new Float32Array(192).fill(0.5) } };
  });
  expect(quantized.report.calibration.samples).toBe(1);
  quantized.dispose();
});

test('takes whole numbers for real ones as calibration data', async () => {
  const quantized = await quantizeModel(float, tf.cast(tf.mul(images(4), 3), 'int32'));
  expect(quantized.report.calibration.samples).toBe(3);
  quantized.dispose();
});

describe('refuses', () => {
  test.each<[string, () => unknown, RegExp]>([
    [
      'something that is no model',
      () => quantizeModel({} as LayersModel, images(1)),
      /tf\.LayersModel or a tf\.GraphModel for model/,
    ],
    ['data that is none', () => quantizeModel(float, 3 as unknown as tf.Tensor), /for data but received 3/],
    ['no data', () => quantizeModel(float, []), /calibration data is empty/],
    [
      'data of another shape',
      () => quantizeModel(float, images(2, 0, [4, 4, 3])),
      /expected shape \[-1,8,8,3\]/,
    ],
    [
      'one tensor for two inputs',
      () => quantizeModel(twoByTwo(), [images(1)]),
      /'left', 'right' but received 'left'/,
    ],
    [
      'a layer that cannot be read',
      () => quantizeModel(withCustomLayer(), tf.zeros([1, 3])),
      /'memory' \(Doubled\)/,
    ],
    ['a wrong option', () => quantizeModel(float, images(1), { samples: 0 }), /positive integer for samples/],
  ])('%s', async (_, attempt, message) => {
    await expect(attempt()).rejects.toThrow(message);
  });

  function withCustomLayer(): LayersModel {
    class Doubled extends layers.Layer {
      static readonly className = 'Doubled';
      override call(x: tf.Tensor | tf.Tensor[]) {
        return tf.mul([x].flat()[0], 2);
      }
    }
    return sequential({
      layers: [
        layers.dense({ units: 2, inputShape: [3] }),
        new Doubled({ name: 'memory' }) as unknown as ReturnType<typeof layers.reLU>,
      ],
    });
  }

  test('a prediction from too many tensors', () => {
    expect(() => int8.predict([images(1), images(1)])).toThrow(/Expected tensors for the inputs .*'input 1'/);
  });
});

test('a quantized model is saved as TF.js saves models, and loads from there', async () => {
  const int8 = await quantizeModel(classifier(), images(16), { recipe: 'fast' });
  let saved: tf.io.ModelArtifacts | undefined;
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
  });
  const { modelArtifactsInfo } = await int8.save(handler);
  expect(modelArtifactsInfo.weightDataBytes).toBe((saved!.weightData as ArrayBuffer).byteLength);
  const loaded = await loadGraphModel(tf.io.fromMemory(structuredClone(saved!)));
  const picture = images(2, 1);
  expect((loaded.predict(picture) as tf.Tensor).dataSync()).toEqual(
    (int8.predict(picture) as tf.Tensor).dataSync(),
  );
  await expect(int8.save('nowhere://model')).rejects.toThrow(/a URL that TF.js saves to, or a save handler/);
  const full = { save: () => Promise.reject(new Error('the disk is full')) };
  await expect(int8.save(full)).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining('saved: the disk is full'),
  });
});
