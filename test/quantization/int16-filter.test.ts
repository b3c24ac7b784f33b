import { fitsInt16, offsetInt8Codes, quantizeInt16Filter } from '../../src/quantization/int16-filter';
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

/** A weight as TF.js reads it that was stored in 8 bits. */
const stored = (code: number, zeroPoint: number, scale: number) => Math.fround((code - zeroPoint) * scale);

test('weights that were stored in 8 bits keep their values, in 8 bits', () => {
  const random = new Random(5);
  const [channels, depth] = [4, 60];
  const channel = (i: number) => i % channels;
  // As one grid for all channels, with zero anywhere in it, that a batch normalization has scaled channel by channel.
  const factors = [0.5, 1.7, 0.013, 3];
  for (const zeroPoint of [0, 90, 128, 255]) {
    const values = Float32Array.from({ length: channels * depth }, (_, i) =>
      Math.fround(stored(random.int(0, 255), zeroPoint, 0.0173) * factors[channel(i)]),
    );
    const filter = quantizeInt16Filter(values, channel, channels);
    const narrow = offsetInt8Codes(filter, channel)!;
    values.forEach((value, i) => {
      const c = channel(i);
      const code = narrow.codes[i] - narrow.zeroPoints[c];
      expect(code).toBe(filter.codes[i]);
      expect(Math.abs(code * filter.scales[c] - value)).toBeLessThan(1e-6 * factors[c] * 255 * 0.0173);
    });
  }
});

test('narrow codes fit 8 bits and are at most half a step off, whatever was done to the weights', () => {
  const random = new Random(6);
  const [channels, depth] = [5, 60];
  const channel = (i: number) => i % channels;
  // On no grid any more, on either side of zero, on one side of it, and far from it.
  const middles = [0, 0.3, -0.9, 1, 40];
  const values = Float32Array.from({ length: channels * depth }, (_, i) =>
    channel(i) === 4 ? middles[4] + random.real(-1e-3, 1e-3) : middles[channel(i)] + random.real(-1, 1),
  );
  expect(offsetInt8Codes(quantizeInt16Filter(values, channel, channels), channel)).toBeUndefined();
  const filter = quantizeInt16Filter(values, channel, channels, true);
  const narrow = offsetInt8Codes(filter, channel)!;
  values.forEach((value, i) => {
    const c = channel(i);
    const code = narrow.codes[i] - narrow.zeroPoints[c];
    expect(code).toBe(filter.codes[i]);
    const step = c === 4 ? filter.scales[c] : 2 / 254;
    expect(Math.abs(code * filter.scales[c] - value)).toBeLessThan(0.5001 * step);
  });
  // The last has steps as int16 has.
  expect(filter.scales[4]).toBeLessThan(40 / 2 ** 10);
});

test('codes are stored in 8 bits only where those of each channel are at most 255 apart', () => {
  const scales = Float32Array.of(1, 1);
  const channel = (i: number) => i % 2;
  const narrow = offsetInt8Codes({ codes: Int16Array.of(-255, 32767, 0, 32512), scales }, channel)!;
  expect([...narrow.codes]).toEqual([-128, 127, 127, -128]);
  expect([...narrow.zeroPoints]).toEqual([127, -128 - 32512]);
  expect(offsetInt8Codes({ codes: Int16Array.of(-255, 0, 1, 0), scales }, channel)).toBeUndefined();
  const plain = offsetInt8Codes({ codes: Int16Array.of(-128, 3, 127, 0), scales }, channel)!;
  expect([...plain.zeroPoints]).toEqual([0, 0]);
});

test('the zero point of a channel of few weights fits int16', () => {
  const scales = Float32Array.of(1);
  for (const codes of [[32767], [32640], [32641, 32767], [-32767], [-32767, -32600], [129]]) {
    const narrow = offsetInt8Codes({ codes: Int16Array.from(codes), scales }, () => 0)!;
    expect(Array.from(narrow.codes, (code) => code - narrow.zeroPoints[0])).toEqual(codes);
  }
});
