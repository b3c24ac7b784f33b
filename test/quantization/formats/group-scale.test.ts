import { ScaleCoder } from '../../../src/quantization/formats/group-scale';

test.each([1e-30, 1e-3, 1, 12345, 1e30])(
  'a largest weight of %d keeps the eleven digits of a float16',
  (max) => {
    const coder = new ScaleCoder(1, max);
    for (const scale of [max, max / 3, max / 1000]) {
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
