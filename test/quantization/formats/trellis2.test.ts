import { toFloat16Bits } from '../../../src/base/float16';
import { gaussian } from '../../../src/quantization/distributions';
import { bitsPerWeight } from '../../../src/quantization/formats/bits-per-weight';
import { decodeMatrix } from '../../../src/quantization/formats/decode';
import { encodeMatrix } from '../../../src/quantization/formats/encode';
import { trellis2 } from '../../../src/quantization/formats/trellis2';
import { Viterbi } from '../../../src/quantization/formats/viterbi';
import { normalisedError } from '../../../src/quantization/metrics';
import { forEachCase } from '../../support/random';

const { levels } = trellis2;

test('decodes a code together with the one four before it', () => {
  // Codes 1 2 3 0, then 3 0 2 1: indices 4 8 12 0, then 1|12 2|0 3|8 0|4.
  const matrix = {
    ...encodeMatrix('trellis2', new Float32Array(8), 1, 8),
    codes: Uint8Array.of(0b00111001, 0b01100011),
    scales: Uint16Array.of(toFloat16Bits(0.5)),
    unit: 2,
  };
  const indices = [4, 8, 12, 0, 13, 2, 11, 4];
  expect([...decodeMatrix(matrix)]).toEqual(indices.map((i) => levels[i]));
});

test('reads every byte, and every code after every other', () => {
  // The second byte is the first one turned by a code, so that each of its codes follows another one of the first.
  const codes = new Uint8Array(2 * 256);
  for (let i = 0; i < 256; i++) codes.set([i, (i >> 2) | (i << 6)], 2 * i);
  const zeros = encodeMatrix('trellis2', new Float32Array(8 * 256), 256, 8);
  const decoded = decodeMatrix({ ...zeros, codes, scales: zeros.scales.fill(toFloat16Bits(1)), unit: 1 });
  for (let i = 0; i < 256; i++) {
    const code = (lane: number) => (i >> (2 * (lane % 4))) & 3;
    const expected = Array.from({ length: 8 }, (_, k) =>
      k < 4 ? levels[4 * code(k)] : levels[code(k) + 4 * code(k + 1)],
    );
    expect([...decoded.subarray(8 * i, 8 * i + 8)]).toEqual(expected);
  }
});

test('golden bytes', () => {
  const values = Float32Array.from({ length: 37 }, (_, i) => Math.fround(((i * 7) % 19) / 8 - 1.125));
  const { codes, scales, unit } = encodeMatrix('trellis2', values, 1, 37, { group: 32 });
  expect({ codes: Buffer.from(codes).toString('hex'), scales: [...scales], unit }).toEqual({
    codes: '8ee8f0338a2c3cf38a00',
    scales: [26334, 26296],
    unit: 2 ** -14,
  });
});

test('the search finds the least error of all codes', async () => {
  await forEachCase('viterbi', 30, (random) => {
    const length = random.int(1, 7);
    const values = Float32Array.from({ length }, () => random.real(-2, 2));
    const importance = Float64Array.from({ length }, () => random.real(0.1, 3));
    const table = Array.from({ length: 16 }, () => random.int(-31, 31));
    const step = 1 / 15;
    const errorOf = (code: (k: number) => number) =>
      values.reduce((sum, value, k) => {
        const level = table[(k < 4 ? 0 : code(k - 4)) | (code(k) << 2)];
        return sum + importance[k] * (value - level * step) ** 2;
      }, 0);
    let least = Number.POSITIVE_INFINITY;
    for (let word = 0; word < 4 ** length; word++)
      least = Math.min(
        least,
        errorOf((k) => (word >> (2 * k)) & 3),
      );
    const codes = new Uint8Array(length);
    new Viterbi(table, length).encode(values, importance, { steps: Float64Array.of(step), group: 0 }, codes);
    expect(errorOf((k) => codes[k])).toBeCloseTo(least, 10);
  });
});

test('error on N(0, 1) in groups of 128, and its bits', () => {
  const values = gaussian(256 * 1024, 1);
  const matrix = encodeMatrix('trellis2', values, 256, 1024);
  expect(normalisedError(values, decodeMatrix(matrix))).toBeLessThan(0.0895);
  expect(bitsPerWeight({ ...matrix, rows: 1024 })).toBeLessThan(2.13);
});

test('a whole row may share a scale', () => {
  const values = gaussian(64 * 1000, 2);
  const matrix = encodeMatrix('trellis2', values, 64, 1000, { group: 0 });
  expect(matrix.scales.length).toBe(64);
  expect(normalisedError(values, decodeMatrix(matrix))).toBeLessThan(0.092);
});

test('importance moves the error to the inputs that count less', () => {
  const values = gaussian(64 * 128, 3);
  const importance = Float64Array.from({ length: 128 }, (_, k) => (k % 8 < 4 ? 20 : 1));
  const weighted = (options: { importance?: Float64Array }) => {
    const decoded = decodeMatrix(encodeMatrix('trellis2', values, 64, 128, options));
    return values.reduce((sum, value, i) => sum + importance[i % 128] * (value - decoded[i]) ** 2, 0);
  };
  expect(weighted({ importance })).toBeLessThan(0.9 * weighted({}));
});

test('weights that are zero in part of a row', () => {
  const values = gaussian(256, 4).fill(0, 64, 192);
  const decoded = decodeMatrix(encodeMatrix('trellis2', values, 1, 256, { group: 64 }));
  expect([...decoded.subarray(64, 192)].every((value) => value === 0)).toBe(true);
  expect(normalisedError(values, decoded)).toBeLessThan(0.1);
});
