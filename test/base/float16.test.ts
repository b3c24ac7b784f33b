import { getFloat16, setFloat16 } from '@petamoriken/float16';
import { fromFloat16Bits, toFloat16Bits } from '../../src/base/float16';

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

test('agrees with another implementation on every number, between them, and on infinities and NaN', () => {
  const cell = new DataView(new ArrayBuffer(2));
  const expected = (value: number) => {
    setFloat16(cell, 0, value);
    return cell.getUint16(0);
  };
  const values = [
    0,
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e300,
    -1e-300,
    5e-324,
  ];
  for (let bits = 0; bits < 2 ** 16; bits++) {
    cell.setUint16(0, bits);
    const value = getFloat16(cell, 0);
    if (!Object.is(fromFloat16Bits(bits), value)) throw new Error(`${bits} is ${value}`);
    if (!Number.isFinite(value)) continue;
    const next = fromFloat16Bits(bits + 1);
    const tie = Number.isFinite(next) ? (value + next) / 2 : Math.sign(value) * 65520;
    values.push(value, tie, tie * (1 - 2 ** -50), tie * (1 + 2 ** -50), (value + tie) / 2);
  }
  for (const value of values) {
    const bits = toFloat16Bits(value);
    if (bits !== expected(value)) throw new Error(`${value} gives ${bits}, expected ${expected(value)}`);
  }
});
