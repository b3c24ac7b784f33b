import { HistogramPair, representable } from '../../src/evaluation/value-histogram';

test.each([
  [{ bits: 8, scale: 0.5, zeroPoint: 0 }, -64.25, 63.75],
  [{ bits: 8, scale: 0.5, zeroPoint: -128 }, -0.25, 127.75],
  [{ bits: 16, scale: 1, zeroPoint: 0 }, -32768.5, 32767.5],
] as const)('%o holds what rounds to one of its codes', (codes, low, high) => {
  expect(representable(codes)).toEqual([low, high]);
});

test('counts both sets of values in the same bins, and apart what lies outside', () => {
  const pair = new HistogramPair(0, 64);
  pair.add(Float32Array.of(-5, 0, 0.5, 63.5, 64, 100), Float32Array.of(0, 1, 1, 63, 63, 63));
  const { float, quantized } = pair.result();
  expect(float).toHaveLength(66);
  expect([float[0], float[1], float[64], float[65]]).toEqual([1, 2, 1, 2]);
  expect([quantized[0], quantized[1], quantized[2], quantized[64], quantized[65]]).toEqual([0, 1, 2, 3, 0]);
  expect(pair.outside).toBe(50);
});

test('nothing is outside where nothing was counted', () => {
  expect(new HistogramPair(0, 1).outside).toBe(0);
});
