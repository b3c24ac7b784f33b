import { fitsInt16, quantizeInt16Filter } from '../../src/quantization/int16-filter';
import { Random } from '../support/random';

const MAX_ACTIVATION = 32767;

/** The largest sum of |weight| of a channel. */
function largestSum(codes: Int16Array, channel: (i: number) => number, channels: number): number {
  const sums = new Float64Array(channels);
  codes.forEach((code, i) => {
    sums[channel(i)] += Math.abs(code);
  });
  return Math.max(...sums);
}

test.each([1, 16, 1000, 16384])('sums of channels of %i weights fit an int32 accumulator', (depth) => {
  const random = new Random(depth);
  const channels = 3;
  const channel = (i: number) => i % channels;
  for (const draw of [() => 1, () => random.real(-1, 1), () => random.real(-1, 1) ** 9]) {
    const values = Float32Array.from({ length: depth * channels }, draw);
    const { codes, scales } = quantizeInt16Filter(values, channel, channels);
    expect(largestSum(codes, channel, channels) * (MAX_ACTIVATION + 1)).toBeLessThanOrEqual(2 ** 31);
    values.forEach((value, i) => {
      const step = scales[channel(i)];
      if (Math.abs(codes[i] * step - value) > 0.5001 * step)
        throw new Error(`weight ${i} is off by more than half a step`);
    });
  }
});

test('a channel of one weight has 15 bits, and one of zeros a positive scale', () => {
  const { codes, scales } = quantizeInt16Filter(Float32Array.of(0.25, 0), (i) => i, 2);
  expect([...codes]).toEqual([32767, 0]);
  expect(codes[0] * scales[0]).toBeCloseTo(0.25, 6);
  expect(scales[1]).toBeGreaterThan(0);
});

test('channels of too many weights are refused, so that steps stay as fine as those of int8', () => {
  expect([fitsInt16(16384), fitsInt16(16385)]).toEqual([true, false]);
});
