import { WeightsBuilder } from '../../src/program/program';

test('offsets that do not fit 32 bits are refused with the bytes', () => {
  const weights = new WeightsBuilder();
  // Pages of zeros that are never touched.
  const gigabyte = new Uint8Array(2 ** 30);
  expect(weights.append(gigabyte)).toBe(0);
  const another = new Uint8Array(2 ** 30);
  another[0] = 1;
  expect(() => weights.append(another)).toThrow(
    'The weights of one region reach 2147483648 bytes, but offsets into them are 32-bit integers, at most 2147483647',
  );
  expect(weights.append(gigabyte.subarray(0, 10))).toBe(2 ** 30);
});

test('equal data is stored once, data that differs in any byte is not', () => {
  const weights = new WeightsBuilder();
  const data = Int32Array.from({ length: 5000 }, (_, i) => i);
  const almost = data.slice();
  almost[4321] = -1;
  expect([data, almost, data.slice(), almost.slice()].map((d) => weights.append(d))).toEqual([
    0, 20000, 0, 20000,
  ]);
  expect(weights.build()).toEqual(Int32Array.of(...data, ...almost));
});
