// @needs engine
/** The stateless PiDequant of every instruction set against the reference; golden bytes; what it refuses. */

import { filterRowBytes, type LowBitFormat, WeightFormat } from '../../src/program/program';
import type { PackedMatrix } from '../../src/runtime/engine';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { drawLowBitFilter } from '../support/draw-low-bit';
import { forEachCase, type Random } from '../support/random';
import { everyIsa } from '../support/run-engine';
import { LowBitFilter } from './reference/low-bit';
import { toCode } from './reference/requantize';

const engines = everyIsa();
const engine = engines.at(-1)!;
const { Codebook2, Codebook3, Codebook4, Trellis2 } = WeightFormat;
const FORMATS = [Codebook2, Codebook3, Codebook4, Trellis2] as const;

/** A random matrix in buffers without a byte to spare, and its numbers. */
function draw(random: Random, storage: LowBitFormat, rows: number, depth: number) {
  const builder = new CaseBuilder();
  const ref = drawLowBitFilter(new Drawer(builder, random), storage, rows, depth);
  const bytes = new Int8Array(builder.weights.build().buffer);
  const { group, unit } = ref;
  const codeBytes = rows * filterRowBytes(storage, depth);
  const scaleCount = rows * Math.ceil(depth / (group || depth));
  const matrix: PackedMatrix = {
    ...{ storage, rows, depth, group, unit },
    levels: bytes.slice(ref.levelsOffset, ref.levelsOffset + 16),
    codes: new Uint8Array(bytes.slice(ref.filterOffset, ref.filterOffset + codeBytes).buffer),
    scales: new Uint16Array(bytes.slice(ref.scaleOffset, ref.scaleOffset + 2 * scaleCount).buffer),
  };
  const values = () => {
    const filter = new LowBitFilter(ref, bytes, rows, depth);
    return Array.from({ length: rows * depth }, (_, i) => filter.value(Math.floor(i / depth), i % depth));
  };
  return { matrix, values };
}

const positiveZeros = (values: ArrayLike<number>) => Array.from(values, (value) => value + 0);

test.each(FORMATS)('matrices of format %d equal the reference, as numbers and as codes', async (storage) => {
  await forEachCase(`dequantize ${storage}`, 60, (random) => {
    const [rows, depth] = [random.int(1, 5), random.pick([random.int(1, 70), random.int(1, 500)])];
    const { matrix, values } = draw(random, storage, rows, depth);
    const expected = values();
    const range = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0) || 1;
    const params = {
      scale: Math.fround(range / random.pick([3, 100, 1000])),
      zeroPoint: random.int(-128, 127),
    };
    const codes = expected.map((x) => toCode(Math.fround(x / params.scale), params.zeroPoint));
    for (const each of engines) {
      each.threads = random.int(1, 2);
      const [floats, bytes, words] = [Float32Array, Int8Array, Int32Array].map(
        (type) => new type(rows * depth),
      );
      each.dequantize(matrix, floats!);
      each.dequantize(matrix, bytes!, params);
      each.dequantize(matrix, words!, params);
      expect(positiveZeros(floats!)).toEqual(positiveZeros(expected));
      expect(Array.from(bytes!)).toEqual(codes);
      expect(Array.from(words!)).toEqual(codes);
    }
  });
});

/** Any bytes make codes. */
function arbitrary(storage: LowBitFormat, rows: number, depth: number): PackedMatrix {
  return {
    ...{ storage, rows, depth, group: 96, unit: 0.3 },
    levels: Int8Array.from({ length: 16 }, (_, i) => (storage === Trellis2 || i < 4 ? 4 * i - 25 : 0)),
    codes: Uint8Array.from({ length: rows * filterRowBytes(storage, depth) }, (_, i) => (i * 37) >> 3),
    scales: Uint16Array.from({ length: rows * Math.ceil(depth / 96) }, (_, i) => 0x3000 + (i % 0x1000)),
  };
}

test.each<[LowBitFormat, number, number]>([
  [Codebook2, 1, 200_003],
  [Trellis2, 1, 200_003],
  [Codebook2, 3000, 1531],
])(
  'format %d, %d x %d numbers: shared by threads, and past the caches where they are many',
  (storage, ...size) => {
    const [rows, depth] = size;
    const matrix = arbitrary(storage, rows, depth);
    const results = engines.flatMap((each) =>
      [1, 2].map((threads) => {
        each.threads = threads;
        // At both alignments to 8 bytes.
        const out = new Float32Array(
          new ArrayBuffer(4 * (rows * depth + 1)),
          4 * (threads - 1),
          rows * depth,
        );
        each.dequantize(matrix, out);
        return new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
      }),
    );
    for (const result of results) {
      const differs = result.findIndex((byte, i) => byte !== results[0]![i]);
      expect(differs).toBe(-1);
    }
  },
);

/** Two rows of three numbers, small enough to check by hand. */
const GOLDEN: PackedMatrix = {
  storage: Codebook2,
  rows: 2,
  depth: 3,
  group: 0,
  unit: 0.5,
  levels: Int8Array.of(-3, -1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  codes: Uint8Array.of(0b00_10_01_00, 0b00_00_00_11),
  scales: Uint16Array.of(0x3c00, 0x4000),
};

test.each<[string, Partial<PackedMatrix>, number[]]>([
  ['2 bits', {}, [-1.5, -0.5, 0.5, 3, -3, -3]],
  [
    '3 bits',
    {
      storage: Codebook3,
      levels: Int8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0),
      codes: Uint8Array.of(0b11_010_001, 0b1, 0, 0b101, 0, 0),
    },
    [0.5, 1, 3.5, 5, 0, 0],
  ],
  [
    '4 bits',
    {
      storage: Codebook4,
      levels: Int8Array.from({ length: 16 }, (_, i) => i - 8),
      codes: Uint8Array.of(0x1f, 0x08, 0x00, 0x09),
    },
    [3.5, -3.5, 0, -8, -8, 1],
  ],
  [
    'a trellis',
    {
      storage: Trellis2,
      rows: 1,
      depth: 6,
      levels: Int8Array.from({ length: 16 }, (_, i) => 2 * i),
      codes: Uint8Array.of(0b11_10_01_00, 0b00_00_10_01),
    },
    [0, 4, 8, 12, 4, 9],
  ],
  [
    'groups',
    { rows: 1, depth: 33, group: 32, codes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0xff, 0x03) },
    [...Array(28).fill(-1.5), ...Array(4).fill(1.5), 3],
  ],
])('golden bytes: %s', (_, change, expected) => {
  for (const each of engines) {
    const out = new Float32Array(expected.length);
    each.dequantize({ ...GOLDEN, ...change }, out);
    expect(Array.from(out)).toEqual(expected);
  }
});

test('codes are rounded half to even and clamped', () => {
  for (const each of engines) {
    const out = new Int8Array(6);
    each.dequantize(GOLDEN, out, { scale: 1, zeroPoint: 126 });
    expect(Array.from(out)).toEqual([124, 126, 126, 127, 123, 123]);
  }
});

describe('refuses', () => {
  test.each<[string, Partial<PackedMatrix>, RegExp]>([
    ['5 bits', { storage: 5 as LowBitFormat }, /PiDequant: unknown weight format 5, expected 1 to 4/],
    ['8 bits', { storage: 0 as LowBitFormat }, /PiDequant: unknown weight format 0/],
    ['no rows', { rows: 0 }, /at least one row and one element but received 0 x 3/],
    ['a negative depth', { depth: -1 }, /received 2 x -1/],
    ['a depth of 2^32', { depth: 2 ** 32 }, /32-bit integer for depth/],
    ['half a row', { rows: 0.5 }, /32-bit integer for rows/],
    [
      'more numbers than int32 counts',
      { rows: 2 ** 20, depth: 2 ** 20 },
      /more than (2147483647|268435455) weights/,
    ],
    ['short codes', { codes: new Uint8Array(1) }, /codes have 1 bytes, expected 2/],
    ['no scales', { scales: new Uint16Array(0) }, /scales have 0 bytes, expected 4/],
    [
      'scales of other groups',
      { depth: 64, group: 32, codes: new Uint8Array(32) },
      /scales have 4 bytes, expected 8/,
    ],
    ['a group of 48', { group: 48 }, /shared by 48 inputs, expected a multiple of 32/],
    ['a negative group', { group: -32 }, /shared by -32 inputs/],
    ['a scale of NaN', { scales: Uint16Array.of(0x3c00, 0x7e00) }, /filter scale 1 is nan/],
    ['an infinite scale', { scales: Uint16Array.of(0x7c00, 0x3c00) }, /filter scale 0 is inf/],
    ['a scale of negative zero', { scales: Uint16Array.of(0x8000, 0x3c00) }, /filter scale 0 is -0/],
    ['a unit of 0', { unit: 0 }, /unit of the filter scales is 0/],
    ['a unit of NaN', { unit: Number.NaN }, /unit of the filter scales is -?nan/],
    ['three levels', { levels: Int8Array.of(1, 2, 3) }, /16 levels/],
    ['a level of 64', { levels: new Int8Array(16).fill(64, 0, 1) }, /filter level 0 is 64/],
    ['a fifth level of 2 bits', { levels: new Int8Array(16).fill(1, 4, 5) }, /filter level 4 is 1/],
  ])('%s', (_, change, message) => {
    const call = () => engine.dequantize({ ...GOLDEN, ...change }, new Float32Array(6));
    expect(call).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
    expect(call).toThrow(message);
  });

  test('too little room', () => {
    expect(() => engine.dequantize(GOLDEN, new Float32Array(5))).toThrow(
      /outputs have 20 bytes, expected 24/,
    );
    expect(() => engine.dequantize(GOLDEN, new Int8Array(5))).toThrow(/outputs have 5 bytes, expected 6/);
  });

  test.each([
    [{ scale: 0, zeroPoint: 0 }, /received 0 and 0/],
    [{ scale: Number.NaN, zeroPoint: 0 }, /received nan and 0/],
    [{ scale: 1, zeroPoint: 128 }, /received 1 and 128/],
    [{ scale: 1, zeroPoint: 0.5 }, /32-bit integer for zeroPoint/],
  ])('codes of %p', (params, message) => {
    expect(() => engine.dequantize(GOLDEN, new Int8Array(6), params)).toThrow(message);
  });
});
