import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Constant } from '../../src/graph/ir';
import { readRange, type Shard } from '../../src/graph/shards';
import { derivedConstant, StoredConstants } from '../../src/graph/stored-constants';
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

const spec = { dtype: 'string', shape: [] } as const;

function inFiles(
  stored: StoredConstants,
  files: readonly Shard[],
  start: number,
  length: number,
  decode = (bytes: Uint8Array) => bytes,
): Constant {
  return stored.constant(spec, () => decode(readRange(files, start, length)));
}

test('reads bytes that begin in one shard and end in a later one', () => {
  const constant = inFiles(new StoredConstants(), shards(5, 3, 10), 4, 9);
  expect([...constant.values]).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test('reads a file once for several looks in a row', () => {
  let decoded = 0;
  const constant = inFiles(new StoredConstants(), shards(4), 0, 4, (bytes) => {
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
    inFiles(stored, files, 0, 1, () => {
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
  const constant = inFiles(new StoredConstants(), files, 0, 8);
  truncateSync(files[0].path, 3);
  expect(() => constant.values).toThrow("Shard '0.bin' shrank while it was read.");
});

test('what is computed from a weight in a file is computed again once others were looked at; else it is in memory', () => {
  const stored = new StoredConstants();
  const files = shards(4);
  const filler = () => inFiles(stored, files, 0, 1, () => new Uint8Array(12 * 1024 * 1024));
  let computed = 0;
  const doubled = (values: Constant['values']) => {
    computed++;
    return Uint8Array.from(values, (value) => 2 * value);
  };
  const constant = derivedConstant(inFiles(stored, files, 0, 4), doubled);
  const twice = derivedConstant(constant, doubled);
  expect(computed).toBe(0);
  expect([...twice.values]).toEqual([0, 4, 8, 12]);
  expect([...constant.values]).toEqual([0, 2, 4, 6]);
  expect(computed).toBe(2);
  for (const { values } of [filler(), filler()]) expect(values).toBeDefined();
  expect([...twice.values]).toEqual([0, 4, 8, 12]);
  expect(computed).toBe(4);
  const eager = derivedConstant({ ...spec, values: Uint8Array.of(3) }, doubled);
  expect(computed).toBe(5);
  expect([...eager.values, ...eager.values]).toEqual([6, 6]);
  expect(computed).toBe(5);
});
