// @needs engine
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PAGE_BYTES, pageAligned, readIndex, writeContainer } from '../../../src/moe/store/container';
import { fileSource } from '../../../src/moe/store/file-source';
import { type ExpertFolder, everyExpert, expertBytes, makeExperts } from '../../support/experts';

let made: ExpertFolder;

beforeEach(async () => {
  made = await makeExperts();
});

afterEach(() => made.remove());

const read = (path: string, direct = false) => fileSource(path, { direct });

test('every expert is read as it was written, at once and later, in every precision', async () => {
  const source = await read(made.path);
  expect(source.index).toMatchObject({ layers: 2, experts: 4 });
  expect(source.index.precisions.map(({ name }) => name)).toEqual(['int8', 'uniform2']);
  expect(source.index.records).toHaveLength(16);
  for (const record of source.index.records) {
    expect(record.offset % PAGE_BYTES).toBe(0);
    const expected = expertBytes(record.layer, record.expert, record.precision);
    for (const readInto of [source.read, source.readNow!]) {
      const into = new Uint8Array(pageAligned(record.bytes));
      await readInto(record, into);
      expect(into.subarray(0, record.bytes)).toEqual(expected);
    }
  }
  await source.close();
  await expect(source.read(source.index.records[0]!, new Uint8Array(PAGE_BYTES * 3))).rejects.toThrow(
    'was closed',
  );
});

test('the same experts make the same bytes', async () => {
  const again = await makeExperts();
  expect(await readFile(again.path)).toEqual(await readFile(made.path));
  await again.remove();
});

test('a changed byte of an expert is noticed when that one is read, and no other', async () => {
  const file = await open(made.path, 'r+');
  await file.write(Buffer.from([1, 2, 3]), 0, 3, PAGE_BYTES + 100);
  await file.close();
  const source = await read(made.path);
  const [first, second] = source.index.records;
  const into = new Uint8Array(PAGE_BYTES * 3);
  const message = `Cannot read expert 0 of layer 0 from ${made.path}: its checksum is wrong. Convert the model again`;
  await expect(source.read(first!, into)).rejects.toThrow(message);
  expect(() => source.readNow!(first!, into)).toThrow(message);
  await expect(source.read(first!, into)).rejects.toMatchObject({ code: 'invalid-weights' });
  await source.read(second!, into);
  await source.close();
});

test.each([
  ['no container', (bytes: Buffer) => bytes.fill(65, 0, 4), 'does not start with LBME'],
  ['a truncated one', (bytes: Buffer) => bytes.subarray(0, 20_000), 'has 20000 bytes instead of'],
  ['an empty file', () => Buffer.alloc(0), 'it has 0 bytes'],
  [
    'a damaged index',
    (bytes: Buffer) => bytes.fill('!', bytes.length - 9, bytes.length - 6),
    'checksum of its index',
  ],
  ['a later version', (bytes: Buffer) => bytes.fill(7, 4, 5), 'install a newer tfjs-lowbit'],
])('refuses %s', async (_, damage, message) => {
  await writeFile(made.path, damage(await readFile(made.path)));
  await expect(read(made.path)).rejects.toThrow(message);
});

const hostile = (entries: number[][]) => {
  const index = Buffer.from(
    JSON.stringify({ layers: 2, experts: 2, precisions: [{ name: 'int8', layout: null }], entries }),
  );
  const whole = Buffer.alloc(PAGE_BYTES * 2 + index.length);
  whole.writeUInt32LE(0x454d424c, 0);
  whole.writeUInt32LE(1, 4);
  whole.writeBigUInt64LE(BigInt(PAGE_BYTES * 2), 8);
  whole.writeUInt32LE(index.length, 16);
  whole.writeUInt32LE(require('node:zlib').crc32(index), 20);
  index.copy(whole, PAGE_BYTES * 2);
  return whole;
};

test.each([
  [[[2, 0, 0, PAGE_BYTES, 10, 0]], 'has no place for expert 0 of layer 2'],
  [[[0, 0, 1, PAGE_BYTES, 10, 0]], 'has no place for expert 0 of layer 0'],
  [[[0, 0, 0, PAGE_BYTES, PAGE_BYTES + 1, 0]], 'expert 0 of layer 0 lies outside of it'],
  [[[0, 0, 0, 100, 10, 0]], 'lies outside of it'],
  [
    [
      [0, 1, 0, PAGE_BYTES, 10, 0],
      [0, 1, 0, PAGE_BYTES, 10, 0],
    ],
    'expert 1 of layer 0 is there twice',
  ],
  [[[0, -1, 0, PAGE_BYTES, 10, 0]], 'its index is damaged'],
])('refuses the hostile index %j', async (entries, message) => {
  const bytes = hostile(entries);
  const range = async (offset: number, length: number) => bytes.subarray(offset, offset + length);
  await expect(readIndex('it', bytes.length, range)).rejects.toThrow(message);
});

test('a file that shrinks after it was opened is noticed', async () => {
  const source = await read(made.path);
  const last = source.index.records.at(-1)!;
  const file = await open(made.path, 'r+');
  await file.truncate(last.offset + 100);
  await file.close();
  const into = new Uint8Array(pageAligned(last.bytes));
  await expect(source.read(last, into)).rejects.toThrow(`the file ends at byte ${last.offset + 100}`);
  await source.close();
});

test('a writer that fails leaves nothing', async () => {
  const path = join(made.folder, 'other.lbme');
  const failing = (function* () {
    yield* everyExpert(1, 2);
    throw new Error('out of experts');
  })();
  const model = { layers: 1, experts: 4, precisions: [{ name: 'int8', layout: null }] };
  await expect(writeContainer(path, model, failing)).rejects.toThrow('out of experts');
  expect(await readdir(made.folder)).toEqual(['experts.lbme']);
});

test('a file that is not there is an error that names it', async () => {
  await expect(read('/nowhere/experts')).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining('/nowhere/experts'),
  });
});
