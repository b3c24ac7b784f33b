import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readAt } from '../../src/base/read-at';
import { temporaryFolder } from '../support/tiny-model';

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
let file: FileHandle;

beforeAll(async () => {
  const path = join(temporaryFolder(), 'bytes');
  await writeFile(path, bytes);
  file = await open(path);
});
afterAll(() => file.close());

test.each([
  [0, 100],
  [7, 13],
  [99, 1],
  [100, 0],
])('reads the bytes from %i on, %i of them', async (position, length) => {
  expect(await readAt(file, position, length)).toEqual(bytes.slice(position, position + length));
});

test('a file that ends before is an error that says where', async () => {
  await expect(readAt(file, 90, 11)).rejects.toThrow('it ends at byte 100');
});

test('goes on after a read that returned fewer bytes than it could', async () => {
  const inPieces = {
    read: (into: Uint8Array, offset: number, length: number, position: number) =>
      file.read(into, offset, Math.min(length, 3), position),
  } as FileHandle;
  expect(await readAt(inPieces, 10, 20)).toEqual(bytes.slice(10, 30));
});
