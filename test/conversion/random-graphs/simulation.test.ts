// @needs engine
/** The simulation decides between two codes that are equally near as programs do. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { dequantize, quantize } from '../../../kernels/functions';
import '../../../src/index.node';
import { quantizeInt16Filter } from '../../../src/quantization/int16-filter';
import { randomOf } from '../../support/random';
import { staticRounding } from '../../support/random-graphs/simulation/rounding';
import { storedWeights } from '../../support/random-graphs/simulation/weights';

test('pixels halfway between two codes', async () => {
  await tf.setBackend('cpu');
  const pixels = Float32Array.from({ length: 256 }, (_, i) => i / 127.5 - 1);
  const attrs = { scale: Math.fround(2 / 255), zeroPoint: -1 };
  const stored = tf.tidy(() => dequantize(quantize(tf.tensor1d(pixels), attrs), attrs).dataSync());
  const rounded = staticRounding(attrs.scale, attrs.zeroPoint)(pixels, [256]);
  expect([...rounded]).toEqual([...stored]);
});

test('int16 weights of channels whose sums decide their steps', () => {
  const random = randomOf('int16 weights', 0);
  const shape = [6, 40];
  const values = Float32Array.from({ length: 240 }, () => random.real(-1, 1));
  const { codes, scales } = quantizeInt16Filter(values, (i) => i % 40, 40);
  const node = { name: 'product', op: 'MatMul', inputs: [], attrs: {} };
  const stored = storedWeights(node, { dtype: 'float32', shape, values }, { int16: true });
  stored.values.forEach((value, i) => {
    expect((value as number) / scales[i % 40] - codes[i]).toBeCloseTo(0, 2);
  });
});
