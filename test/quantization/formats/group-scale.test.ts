import { ScaleCoder, scaleOfBits } from '../../../src/quantization/formats/group-scale';

test.each([1e-30, 1e-3, 1, 12345, 1e30])(
  'a largest weight of %d keeps the eleven digits of a float16',
  (max) => {
    const coder = new ScaleCoder(1, max);
    for (const scale of [max, max / 3, max / 1000, max * 1e-6, max * 1e-9, max * 1e-12, max * 1e-16]) {
      if (scale < 2 ** -125) continue;
      const stored = coder.step(coder.encode(scale));
      expect(Math.abs(stored - scale) / scale).toBeLessThanOrEqual(2 ** -11);
    }
  },
);

test('a scale beyond float16 becomes its largest number, never infinite', () => {
  const coder = new ScaleCoder(1, 1);
  expect(coder.step(coder.encode(1e30))).toBeLessThan(Number.POSITIVE_INFINITY);
});

test('weights of zero have a unit all the same', () => {
  const coder = new ScaleCoder(1, 0);
  expect(coder.unit).toBe(1);
  expect(coder.step(coder.encode(0))).toBe(0);
});

test('every pair of bytes is a scale that is encoded as itself, or none', () => {
  const coder = new ScaleCoder(1, 2 ** 15);
  expect(coder.unit).toBe(1);
  let last = 0;
  const scales = Array.from({ length: 2 ** 16 }, (_, bits) => ({ bits, scale: scaleOfBits(bits) }));
  for (const { bits, scale } of scales.filter(({ scale }) => scale > 0 && scale < Number.POSITIVE_INFINITY)) {
    // Numbers below 2^-14 are encoded with more digits than a float16 has there.
    expect(scaleOfBits(coder.encode(scale))).toBe(scale);
    if (scale >= 2 ** -14 || bits > 0x8000) expect(coder.encode(scale)).toBe(bits);
    last = bits;
  }
  expect(last).toBe(0xfbff);
  expect([0, 0x8000, 0x7c00, 0x7c01, 0xfc00, 0xfc01].map(scaleOfBits)).toEqual([
    0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NaN,
  ]);
});
