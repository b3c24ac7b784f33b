import { fromFloat16Bits, toFloat16Bits } from '../../src/quantization/float16';

test.each([
  [0, 0],
  [1, 0x3c00],
  [-2, 0xc000],
  [65504, 0x7bff],
  [2 ** -24, 0x0001],
  [2 ** -14, 0x0400],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
])('%d is %d', (value, bits) => {
  expect(toFloat16Bits(value)).toBe(bits);
});

test('keeps every number', () => {
  for (let bits = 0; bits < 0x7c00; bits++) expect(toFloat16Bits(fromFloat16Bits(bits))).toBe(bits);
});
