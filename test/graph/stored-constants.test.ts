import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Constant } from '../../src/graph/ir';
import { readRange, type Shard } from '../../src/graph/shards';
import {
  cameFromBytes,
  derivedConstant,
  piecesOf,
  rememberForm,
  StoredConstants,
  sliceOf,
  storedForm,
} from '../../src/graph/stored-constants';
import { temporaryFolder } from '../support/tiny-model';

/** Shards that hold 0, 1, 2... end to end. */
function shards(...lengths: number[]) {
  const folder = temporaryFolder();
  let next = 0;
  return lengths.map((bytes, i) => {
    const path = join(folder, `${i}.bin`);
    writeFileSync(
      path,
      Uint8Array.from({ length: bytes }, () => next++),
    );
    return { path, bytes };
  });
}

const bytesOf = (length: number) => ({ dtype: 'bool', shape: [length] }) as const;
const spec = bytesOf(1);

function inFiles(
  stored: StoredConstants,
  type: Pick<Constant, 'dtype' | 'shape'>,
  files: readonly Shard[],
  start: number,
  size: number,
  decode: (bytes: Uint8Array) => Constant['values'],
): Constant {
  return stored.constant(type, (first, count, room) =>
    decode(readRange(files, start + first * size, count * size, room)),
  );
}

test('reads bytes that begin in one shard and end in a later one', () => {
  const constant = inFiles(new StoredConstants(), bytesOf(9), shards(5, 3, 10), 4, 1, (bytes) => bytes);
  expect([...constant.values]).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test('reads a file once for several looks in a row', () => {
  let decoded = 0;
  const constant = inFiles(new StoredConstants(), bytesOf(4), shards(4), 0, 1, (bytes) => {
    decoded++;
    return bytes;
  });
  expect(constant.values).toBe(constant.values);
  expect(decoded).toBe(1);
});

test('lets go of what was looked at longest ago, beyond 16 MiB', () => {
  const stored = new StoredConstants();
  const files = shards(1);
  let decoded = 0;
  const large = () =>
    inFiles(stored, spec, files, 0, 1, () => {
      decoded++;
      return new Uint8Array(6 * 1024 * 1024);
    });
  const [a, b, c] = [large(), large(), large()];
  for (const { values } of [a, b, a, c]) expect(values).toBeDefined();
  expect(decoded).toBe(3);
  expect(a.values).toBeDefined(); // was looked at after b
  expect(decoded).toBe(3);
  expect(b.values).toBeDefined();
  expect(decoded).toBe(4);
});

test('a shard that shrank since it was opened is an error that names it', () => {
  const files = shards(8);
  const constant = inFiles(new StoredConstants(), bytesOf(8), files, 0, 1, (bytes) => bytes);
  truncateSync(files[0].path, 3);
  expect(() => constant.values).toThrow("Shard '0.bin' shrank while it was read.");
});

test('what is computed from a weight in a file is computed again once others were looked at; else it is in memory', () => {
  const stored = new StoredConstants();
  const files = shards(4);
  const filler = () => inFiles(stored, spec, files, 0, 1, () => new Uint8Array(12 * 1024 * 1024));
  let computed = 0;
  const plusIndex = (value: number, index: number) => {
    if (index === 0) computed++;
    return value + index;
  };
  const constant = derivedConstant(
    inFiles(stored, bytesOf(4), files, 0, 1, (bytes) => bytes),
    plusIndex,
  );
  const twice = derivedConstant(constant, plusIndex);
  expect(computed).toBe(0);
  expect([...constant.values]).toEqual([0, 2, 4, 6]);
  expect(computed).toBe(1);
  expect([...twice.values]).toEqual([0, 3, 6, 9]);
  expect(computed).toBe(2);
  for (const { values } of [filler(), filler()]) expect(values).toBeDefined();
  expect([...twice.values]).toEqual([0, 3, 6, 9]);
  expect(computed).toBe(4);
  const eager = derivedConstant({ ...spec, values: Uint8Array.of(3) }, plusIndex);
  expect(computed).toBe(5);
  expect([...eager.values, ...eager.values]).toEqual([3, 3]);
  expect(computed).toBe(5);
});

/** A float32 constant [rows, columns] of 0, 1, 2... in a file. */
function counting(rows: number, columns: number) {
  const path = join(temporaryFolder(), 'counting.bin');
  const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
  writeFileSync(path, new Uint8Array(values.buffer));
  const type = { dtype: 'float32', shape: [rows, columns] } as const;
  const decode = ({ buffer, length }: Uint8Array) => new Float32Array(buffer, 0, length / 4);
  return inFiles(new StoredConstants(), type, [{ path, bytes: values.byteLength }], 0, 4, decode);
}

test('a large weight in a file is read piece by piece, and so is what is computed from it', () => {
  const constant = counting(700, 999);
  for (const each of [constant, derivedConstant(constant, (value, index) => value - index)]) {
    const expected = (i: number) => (each === constant ? i : 0);
    let next = 0;
    for (const { start, values } of piecesOf(each)) {
      expect(start).toBe(next);
      expect(values.length).toBeLessThan((700 * 999) / 2);
      expect(values.findIndex((value, i) => value !== expected(start + i))).toBe(-1);
      next += values.length;
    }
    expect(next).toBe(700 * 999);
  }
});

test.each([
  [0, 650, 691],
  [1, 3, 998],
  [1, 0, 1],
])('the slice of a weight in a file along axis %i, %i to %i, has its values', (axis, from, to) => {
  const [rows, columns] = [700, 999];
  const slice = sliceOf(counting(rows, columns), axis, from, to);
  const width = axis === 1 ? to - from : columns;
  expect(slice.shape).toEqual(axis === 1 ? [rows, width] : [to - from, columns]);
  expect(slice.values).toHaveLength(slice.shape[0] * slice.shape[1]);
  const expected = (i: number) =>
    axis === 1 ? Math.floor(i / width) * columns + from + (i % width) : from * columns + i;
  expect(slice.values.findIndex((value, i) => value !== expected(i))).toBe(-1);
});

test('what is computed from a constant of 8 bits is known to come from one', () => {
  const constant = (dtype: 'uint8' | 'uint16') => {
    const made: Constant = { dtype: 'float32', shape: [2], values: Float32Array.of(0, 1) };
    rememberForm(made, {
      quantization: { dtype, scale: 1, min: 0 },
      length: 2,
      bytes: () => Uint8Array.of(0, 1),
    });
    return made;
  };
  const halved = (source: Constant) => derivedConstant(source, (value) => value / 2);
  expect(cameFromBytes(halved(halved(constant('uint8'))))).toBe(true);
  expect(cameFromBytes(halved(constant('uint16')))).toBe(false);
  expect(storedForm(halved(constant('uint8')))).toBeUndefined();
});
