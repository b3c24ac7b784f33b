import { squaredError, sumOfSquares } from '../../src/evaluation/format-error';
import { Random } from '../support/random';

const random = new Random(1);
const matrix = { rows: 4, depth: 64, values: Float32Array.from({ length: 256 }, () => random.real(-1, 1)) };
const error = (format: Parameters<typeof squaredError>[1]) => squaredError(matrix, format, 32);

test('more bits leave less error, and all formats less than there is signal', () => {
  const errors = [sumOfSquares(matrix.values), error('uniform2'), error('uniform3'), error('uniform4')];
  expect(errors).toEqual([...errors].sort((a, b) => b - a));
});

test('pi-quantization as published: one step for a channel, from its largest weight', () => {
  // The step is 3 / 1.5 = 2, the levels -2 to 1: 3 -> 2 (clamped), -1.5 -> -2, 0.5 -> 0, -0.5 -> 0.
  const values = Float32Array.of(3, -1.5, 0.5, -0.5);
  expect(squaredError({ values, rows: 1, depth: 4 }, 'pi2-absmax', 0)).toBe(1 + 0.25 + 0.25 + 0.25);
  expect(squaredError({ values: new Float32Array(4), rows: 1, depth: 4 }, 'pi2-absmax', 0)).toBe(0);
});
