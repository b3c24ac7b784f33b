import { cosineSimilarity, maxError, signalToNoise } from '../../src/quantization/metrics';

test('signal-to-noise: a tenth of the amplitude is 20 dB', () => {
  expect(signalToNoise([1, -1, 2], [1.1, -1.1, 2.2])).toBeCloseTo(20, 6);
  expect(signalToNoise([1, 2], [1, 2])).toBe(Number.POSITIVE_INFINITY);
});

test('cosine similarity', () => {
  expect(cosineSimilarity([1, 0], [0, 2])).toBe(0);
  expect(cosineSimilarity([1, 2], [-2, -4])).toBeCloseTo(-1, 12);
  expect(cosineSimilarity([0, 0], [0, 0])).toBe(1);
  expect(cosineSimilarity([0, 0], [1, 0])).toBe(0);
});

test('maximum error', () => {
  expect(maxError([1, 2, 3], [1, 4, 2.5])).toBe(2);
});
