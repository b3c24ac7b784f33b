import { quantizeFilter } from '../../src/quantization/affine';
import { roundWithFeedback } from '../../src/quantization/round-with-feedback';
import { randomOf } from '../support/random';

const [ROWS, DEPTH, SAMPLES] = [6, 24, 400];
const random = randomOf('round with feedback', 0);
const draw = (count: number) => Float32Array.from({ length: count }, () => random.real(-1, 1));
const values = draw(ROWS * DEPTH);
const { codes, scales } = quantizeFilter(values, (i) => Math.floor(i / DEPTH), ROWS, undefined, 1);

/** Mean of x x^T for inputs that have much in common. */
function correlated(): Float64Array {
  const hessian = new Float64Array(DEPTH * DEPTH);
  for (let n = 0; n < SAMPLES; n++) {
    const [own, common] = [draw(DEPTH), draw(2)];
    const x = own.map((v, k) => 0.1 * v + common[k % 2]);
    for (let i = 0; i < DEPTH; i++)
      for (let j = 0; j < DEPTH; j++) hessian[i * DEPTH + j] += (x[i] * x[j]) / SAMPLES;
  }
  return hessian;
}

/** Mean square of what rounding changes in the outputs. */
function outputError(rounded: Int8Array, hessian: Float64Array): number {
  let sum = 0;
  for (let row = 0; row < ROWS; row++) {
    const error = (k: number) => values[row * DEPTH + k] - rounded[row * DEPTH + k] * scales[row];
    for (let i = 0; i < DEPTH; i++)
      for (let j = 0; j < DEPTH; j++) sum += error(i) * hessian[i * DEPTH + j] * error(j);
  }
  return sum;
}

test('changes the outputs much less than plain rounding where inputs are correlated', () => {
  const hessian = correlated();
  const fed = roundWithFeedback(values, scales, hessian);
  expect(fed.scales).toBe(scales);
  expect(outputError(fed.codes, hessian)).toBeLessThan(outputError(codes, hessian) / 4);
});

test('is plain rounding where inputs have nothing in common', () => {
  const identity = new Float64Array(DEPTH * DEPTH);
  for (let k = 0; k < DEPTH; k++) identity[k * DEPTH + k] = 1;
  expect(roundWithFeedback(values, scales, identity).codes).toEqual(codes);
});

test('keeps codes within -127 and 127', () => {
  const narrow = scales.map((scale) => scale / 3);
  const fed = roundWithFeedback(values, narrow, correlated()).codes;
  expect(Math.min(...fed)).toBe(-127);
  expect(Math.max(...fed)).toBe(127);
});
