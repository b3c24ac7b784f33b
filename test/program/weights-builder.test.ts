import { WeightsBuilder } from '../../src/program/program';

test('offsets that do not fit 32 bits are refused with the bytes', () => {
  const weights = new WeightsBuilder();
  // Pages of zeros that are never touched.
  const gigabyte = new Uint8Array(2 ** 30);
  expect(weights.append(gigabyte)).toBe(0);
  expect(() => weights.append(gigabyte)).toThrow(
    'The weights of one region reach 2147483648 bytes, but offsets into them are 32-bit integers, at most 2147483647',
  );
  expect(weights.append(gigabyte.subarray(0, 10))).toBe(2 ** 30);
});
