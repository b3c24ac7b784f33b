import { toFloat16Bits } from '../../../src/base/float16';
import { bitsPerWeight } from '../../../src/quantization/formats/bits-per-weight';
import { decodeMatrix, decodeValue } from '../../../src/quantization/formats/decode';
import { encodeMatrix } from '../../../src/quantization/formats/encode';
import type { LowBitMatrix } from '../../../src/quantization/formats/format';
import { FORMATS, formatNamed } from '../../../src/quantization/formats/registry';
import { forEachCase } from '../../support/random';

const values = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(1 + i * 1.3));

test.each(FORMATS)('random access equals decoding, at every length of a row: %s', async (name) => {
  await forEachCase(`access ${name}`, 24, (random, index) => {
    const [rows, depth] = [random.int(1, 3), 60 + index];
    const matrix = encodeMatrix(name, values(rows * depth), rows, depth, { group: random.pick([0, 32, 64]) });
    const decoded = decodeMatrix(matrix);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < depth; k++) {
        expect(decodeValue(matrix, row, k)).toBe(decoded[row * depth + k]);
      }
    }
  });
});

test.each(FORMATS)('is deterministic: %s', (name) => {
  const encode = () => encodeMatrix(name, values(3 * 200), 3, 200);
  expect(encode()).toEqual(encode());
});

test('multiplies in float32, scale and unit first', () => {
  const matrix: LowBitMatrix = {
    ...encodeMatrix('uniform2', values(4), 1, 4),
    codes: Uint8Array.of(0b11100100),
    scales: Uint16Array.of(toFloat16Bits(0.1)),
    unit: Math.fround(Math.PI / 3),
  };
  const step = Math.fround(matrix.unit * 0.0999755859375);
  expect([...decodeMatrix(matrix)]).toEqual([-3, -1, 1, 3].map((level) => Math.fround(level * step)));
});

describe('bits a weight', () => {
  test.each([
    ['uniform2', 128, 2.125],
    ['uniform2', 256, 2.0625],
    ['uniform2', 32, 2.5],
    ['pi3', 128, 3.125],
    ['int4', 0, 4 + 16 / 1024],
  ] as const)('%s in groups of %d: %d', (format, group, expected) => {
    const counted = bitsPerWeight({ format, rows: 1024, depth: 1024, group });
    expect(counted).toBe(expected + 160 / (1024 * 1024));
  });

  test.each(FORMATS)('are what the matrix holds: %s', (name) => {
    const matrix = encodeMatrix(name, values(3 * 77), 3, 77, { group: 32 });
    const { codes, scales, levels } = matrix;
    const bytes = codes.byteLength + scales.byteLength + levels.byteLength + 4;
    expect(bitsPerWeight(matrix)).toBe((8 * bytes) / (3 * 77));
  });
});

describe('refuses a matrix', () => {
  const matrix = encodeMatrix('pi2', values(2 * 100), 2, 100, { group: 64 });
  const scales = (bits: number) => Uint16Array.from(matrix.scales, (scale, i) => (i === 3 ? bits : scale));

  test.each<[string, Partial<LowBitMatrix>, string]>([
    [
      'too short',
      { codes: matrix.codes.subarray(1) },
      'expected 50 bytes of codes for 2 x 100 weights in groups of 64 but found 49.',
    ],
    ['of more scales', { group: 0 }, 'expected 2 scales for 2 x 100 weights in groups of 0 but found 4.'],
    ['of another group', { group: 65 }, 'expected group 0 or a multiple of 32 but found 65.'],
    ['of a scale that is NaN', { scales: scales(0x7e00) }, 'the scale of row 1, group 1 is NaN; expected'],
    ['of an infinite scale', { scales: scales(0x7c00) }, 'the scale of row 1, group 1 is Infinity; expected'],
    [
      'of a negative infinity',
      { scales: scales(0xfc00) },
      'the scale of row 1, group 1 is Infinity; expected',
    ],
    ['of a negative zero', { scales: scales(0x8000) }, 'the scale of row 1, group 1 is NaN; expected'],
    ['of 5 bits', { storage: 5 as never }, 'expected storage 1 (2 bits) but found 5.'],
    ['without a unit', { unit: 0 }, 'expected a positive finite unit but found 0.'],
    [
      'of an infinite unit',
      { unit: Number.POSITIVE_INFINITY },
      'expected a positive finite unit but found Infinity.',
    ],
    ['of no rows', { rows: 0 }, 'expected a positive integer for rows but found 0.'],
    ['of part of a table', { levels: new Int8Array(4) }, 'expected 16 levels for 2 x 100 weights'],
    [
      'of levels that saturate',
      { levels: Int8Array.from({ length: 16 }, (_, i) => -60 - i) },
      'expected levels of at most 63 but level 4 is -64.',
    ],
  ])('%s', (_, change, message) => {
    const broken = { ...matrix, ...change };
    expect(() => decodeMatrix(broken)).toThrow(`Matrix of format pi2: ${message}`);
    expect(() => decodeValue(broken, 1, 99)).toThrow(`Matrix of format pi2: ${message}`);
  });

  test('of an unknown name', () => {
    expect(() => decodeMatrix({ ...matrix, format: 'pi5' as never })).toThrow(/received 'pi5'/);
    expect(() => formatNamed('q4')).toThrow(/^Expected one of int4/);
  });

  test('asked for an element outside', () => {
    expect(() => decodeValue(matrix, 2, 0)).toThrow('Expected 0 to 1 for row but received 2.');
    expect(() => decodeValue(matrix, 0, 100)).toThrow('Expected 0 to 99 for column but received 100.');
    expect(() => decodeValue(matrix, 0, 1.5)).toThrow('Expected 0 to 99 for column but received 1.5.');
  });
});
