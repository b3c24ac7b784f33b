// @needs engine
/** A small recurrent convolutional model, trained to tell the next picture of a moving square. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { type LayersModel, layers, sequential } from '@tensorflow/tfjs-layers';
import { quantizeModel } from '../../src/convert';
import { signalToNoise } from '../../src/quantization/metrics';
import { randomOf } from '../support/random';

const STEPS = 3;
const SIZE = 6;

const random = randomOf('conv lstm', 0);

/** Pictures of a square that moves by one pixel a step, and then the picture after them. */
function movingSquare(): number[][] {
  const [x, y, dx, dy] = [
    random.int(0, SIZE - 1),
    random.int(0, SIZE - 1),
    random.int(-1, 1),
    random.int(-1, 1),
  ];
  const holds = (at: number, start: number, step: number, time: number) =>
    (((at - start - step * time) % SIZE) + SIZE) % SIZE < 3;
  return Array.from({ length: STEPS + 1 }, (_, time) =>
    Array.from({ length: SIZE ** 2 }, (__, i) =>
      holds(i % SIZE, x, dx, time) && holds(Math.floor(i / SIZE), y, dy, time) ? 1 : 0,
    ),
  );
}

function batch(count: number): { x: tf.Tensor; y: tf.Tensor } {
  const films = Array.from({ length: count }, movingSquare);
  const x = films.flatMap((film) => film.slice(0, STEPS).flat());
  return {
    x: tf.tensor(x, [count, STEPS, SIZE, SIZE, 1]),
    y: tf.tensor(
      films.flatMap((film) => film[STEPS]),
      [count, SIZE, SIZE, 1],
    ),
  };
}

async function trained(): Promise<LayersModel> {
  const model = sequential({
    layers: [
      layers.convLstm2d({
        inputShape: [STEPS, SIZE, SIZE, 1],
        ...{ filters: 6, kernelSize: 3, padding: 'same' as const },
        recurrentInitializer: 'glorotUniform',
      }),
      layers.conv2d({ filters: 1, kernelSize: 3, padding: 'same', activation: 'sigmoid' }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.05), loss: 'meanSquaredError' });
  for (let step = 0; step < 40; step++) {
    const { x, y } = batch(4);
    await model.trainOnBatch(x, y);
    tf.dispose([x, y]);
  }
  return model;
}

test('a trained ConvLSTM2D keeps its predictions', async () => {
  await tf.setBackend('cpu');
  const model = await trained();
  const { x: data } = batch(32);
  const quantized = await quantizeModel(model, data);
  const { x, y } = batch(16);
  const of = (result: unknown) => (result as tf.Tensor).dataSync() as Float32Array;
  const float = of(model.predict(x));
  const lowbit = of(quantized.predict(x));
  const decibels = signalToNoise(float, lowbit);
  const error = (values: Float32Array) =>
    tf.losses.meanSquaredError(y, tf.tensor(values, y.shape)).dataSync()[0];
  console.info(
    JSON.stringify({ decibels, float: error(float), lowbit: error(lowbit), ...quantized.report.macs }),
  );
  // It has learned something: squares cover 9 of 36 pixels, of a variance of 0.19.
  expect(error(float)).toBeLessThan(0.15);
  expect(decibels).toBeGreaterThan(25);
  expect(error(lowbit)).toBeLessThan(error(float) * 1.1);
  expect(quantized.report.macs.integerPercent).toBeGreaterThan(95);
}, 240_000);
