import { quantizeFilter } from '../../src/quantization/affine';
import { leastSquaresBounds } from '../../src/quantization/weight-range';
import { forEachCase } from '../support/random';

const one = () => 0;

function squaredError(values: Float32Array, range: 'max' | 'mse'): number {
  const { codes, scales } = quantizeFilter(values, one, 1, undefined, 1, range);
  return values.reduce((sum, v, i) => sum + (v - codes[i] * scales[0]) ** 2, 0);
}

test('cuts off the largest weight where that serves the others', () => {
  const values = Float32Array.from({ length: 20_000 }, (_, i) => 0.5 * Math.sin(i * 1.7));
  values[0] = 0.55;
  expect(leastSquaresBounds(values, one, Float64Array.of(0.55))[0]).toBeLessThan(0.53);
  expect(squaredError(values, 'mse')).toBeLessThan(0.95 * squaredError(values, 'max'));
});

test('is never worse than the largest weight, channel by channel', async () => {
  await forEachCase('bounds', 50, (random) => {
    const values = Float32Array.from({ length: random.int(1, 200) }, () => random.real(-1, 1) ** 3);
    expect(squaredError(values, 'mse')).toBeLessThanOrEqual(squaredError(values, 'max'));
  });
});

test('leaves a dead channel alone and chooses each channel for itself', () => {
  const values = Float32Array.of(0, 1, 0, 0.5, 0, 0.25);
  expect([...leastSquaresBounds(values, (i) => i % 2, Float64Array.of(0, 1))]).toEqual([0, 1]);
});
