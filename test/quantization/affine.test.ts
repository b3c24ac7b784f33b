import { LowbitError } from '../../src/base/errors';
import { quantizeValue } from '../../src/quantization/activation';
import { chooseAffine, quantizeBias, quantizeFilter } from '../../src/quantization/affine';
import { biasCorrection } from '../../src/quantization/bias-correction';
import { forEachCase } from '../support/random';

const MAX_INT32 = 2 ** 31 - 1;

describe('chooseAffine', () => {
  test('represents zero exactly and every value of the range to half a step', async () => {
    await forEachCase('affine', 500, (random) => {
      const span = 10 ** random.real(-12, 12);
      const min = random.real(-span, span);
      const max = min + random.real(0, span);
      const params = chooseAffine({ min, max });
      const { scale, zeroPoint } = params;
      expect(Math.fround(scale)).toBe(scale);
      expect(zeroPoint).toBeGreaterThanOrEqual(-128);
      expect(zeroPoint).toBeLessThanOrEqual(127);
      expect(quantizeValue(0, params)).toBe(zeroPoint);
      for (const real of [min, max, (min + max) / 2]) {
        const restored = (quantizeValue(real, params) - zeroPoint) * scale;
        expect(Math.abs(restored - real)).toBeLessThanOrEqual(scale * 1.0001);
      }
    });
  });

  test('uses all codes of a rectified range', () => {
    expect(chooseAffine({ min: 0, max: 6 })).toEqual({ scale: Math.fround(6 / 255), zeroPoint: -128 });
    expect(chooseAffine({ min: -6, max: -1 }).zeroPoint).toBe(127);
  });

  test('gives a tensor of zeros a scale', () => {
    expect(chooseAffine({ min: 0, max: 0 })).toEqual({ scale: 1, zeroPoint: 0 });
    expect(chooseAffine({ min: -1e-32, max: 1e-40 }).scale).toBe(1);
    expect(chooseAffine({ min: -1e-30, max: 1e-30 }).scale).toBeCloseTo(2e-30 / 255, 36);
  });

  test.each([
    [Number.NaN, 1],
    [0, Number.POSITIVE_INFINITY],
    [1, 0],
  ])('refuses [%d, %d]', (min, max) => {
    expect(() => chooseAffine({ min, max })).toThrow(LowbitError);
  });
});

describe('quantizeFilter', () => {
  const two = (i: number) => i % 2;

  test('scales each channel by its largest weight', () => {
    const { codes, scales } = quantizeFilter(Float32Array.of(1, -8, -0.5, 4), two, 2, undefined, 1);
    expect([...codes]).toEqual([127, -127, -64, 64]);
    expect(scales).toEqual(Float32Array.of(1 / 127, 8 / 127));
  });

  test('gives dead channels scales that are normal numbers, and keeps their bias', () => {
    const weights = Float32Array.of(6e-21, 0.5, -6e-21, 0.25);
    const bias = Float32Array.of(3.25, 1);
    const inputScale = 0.02;
    const { codes, scales } = quantizeFilter(weights, two, 2, bias, inputScale);
    expect(codes[0]).toBe(0);
    const [dead] = quantizeBias(bias, scales, inputScale);
    expect(Math.abs(dead)).toBeLessThan(2 ** 30 + 128);
    expect(dead * inputScale * scales[0]).toBeCloseTo(3.25, 6);
    for (const scale of scales) expect(scale).toBeGreaterThan(2 ** -100);
  });

  test('takes a layer of zeros', () => {
    const { codes, scales } = quantizeFilter(new Float32Array(4), two, 2, undefined, 1);
    expect([...codes]).toEqual([0, 0, 0, 0]);
    for (const scale of scales) expect(scale).toBeGreaterThan(0);
  });

  test('never lets an accumulator overflow, however deep the layer and large the bias', async () => {
    await forEachCase('accumulator', 15, (random) => {
      const depth = random.pick([1, 100, 70_000, 300_000]);
      const weights = new Float32Array(depth).fill(random.pick([1, 1e-10, 1e10]));
      const bias = Float32Array.of(random.real(-1, 1) * 10 ** random.int(-10, 30));
      const inputScale = 10 ** random.int(-6, 2);
      const { codes, scales } = quantizeFilter(weights, () => 0, 1, bias, inputScale);
      const magnitude = codes.reduce((sum, c) => sum + Math.abs(c), 0);
      expect(255 * magnitude + Math.abs(quantizeBias(bias, scales, inputScale)[0])).toBeLessThanOrEqual(
        MAX_INT32,
      );
    });
  });
});

describe('bias correction', () => {
  const layer = {
    values: Float32Array.of(0.3, -0.7, 1, 1),
    codes: Int8Array.of(0, -1, 1, 1),
    scales: Float32Array.of(1, 1),
    outputChannel: (i: number) => i >> 1,
    inputChannel: (i: number) => i % 2,
    means: Float64Array.of(10, 100),
  };

  test('is the mean of what rounding takes away', () => {
    const correction = biasCorrection(layer);
    expect(correction[0]).toBeCloseTo(0.3 * 10 + 0.3 * 100, 4);
    expect(correction[1]).toBe(0);
  });

  test('counts a weight that meets the border as often as it takes part', () => {
    const correction = biasCorrection({ ...layer, share: (i) => [0.5, 0.25, 1, 1][i] });
    expect(correction[0]).toBeCloseTo(0.5 * 0.3 * 10 + 0.25 * 0.3 * 100, 4);
  });

  test('makes up for shifted means of the input', () => {
    const correction = biasCorrection({ ...layer, quantizedMeans: Float64Array.of(10, 101) });
    expect(correction[0]).toBeCloseTo(0.3 * 10 + 0.3 * 100 + 1, 4);
    expect(correction[1]).toBe(-1);
  });
});
