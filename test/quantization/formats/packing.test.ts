import { filterRowBytes, WeightFormat } from '../../../src/program/program';
import { packRow, readCode, unpackRow } from '../../../src/quantization/formats/packing';
import { forEachCase } from '../../support/random';

const WIDTHS = [2, 3, 4] as const;

const STORAGES = { 2: WeightFormat.Codebook2, 3: WeightFormat.Codebook3, 4: WeightFormat.Codebook4 };

test.each([
  [2, [1, 2, 3, 0, 3], [0b00111001, 0b00000011]],
  [3, [1, 2, 3, 4, 5, 6, 7, 0, 5], [0b11010001, 0b01011000, 0b00011111, 5, 0, 0]],
  [4, [1, 15, 7], [0xf1, 0x07]],
] as const)('lays %d-bit codes out as documented', (bits, codes, bytes) => {
  const packed = new Uint8Array(filterRowBytes(STORAGES[bits], codes.length));
  packRow(bits, Uint8Array.from(codes), packed, 0);
  expect([...packed]).toEqual([...bytes]);
});

test.each(WIDTHS)('reads every byte of %d-bit codes', (bits) => {
  for (let value = 0; value < 256; value++) {
    const bytes = Uint8Array.of(value, 255 - value, value ^ 0x5a);
    const word = BigInt(bytes[0]) | (BigInt(bytes[1]) << 8n) | (BigInt(bytes[2]) << 16n);
    const count = Math.floor(24 / bits);
    const codes = new Uint8Array(count);
    unpackRow(bits, bytes, 0, codes);
    codes.forEach((code, i) => {
      expect(code).toBe(Number((word >> BigInt(i * bits)) & ((1n << BigInt(bits)) - 1n)));
    });
    const again = new Uint8Array(3);
    packRow(bits, codes, again, 0);
    expect(again).toEqual(bytes);
  }
});

test.each(WIDTHS)('keeps rows of every length apart: %d bits', async (bits) => {
  await forEachCase(`rows ${bits}`, 33, (random, depth) => {
    if (depth === 0) return;
    const length = filterRowBytes(STORAGES[bits], depth);
    const rows = [0, 1].map(() => Uint8Array.from(random.ints(depth, 0, 2 ** bits - 1)));
    const bytes = new Uint8Array(2 * length);
    rows.forEach((codes, row) => {
      packRow(bits, codes, bytes, row * length);
    });
    rows.forEach((codes, row) => {
      const back = new Uint8Array(depth);
      unpackRow(bits, bytes, row * length, back);
      expect(back).toEqual(codes);
      expect(readCode(bits, bytes, row * length, depth - 1)).toBe(codes[depth - 1]);
    });
  });
});
