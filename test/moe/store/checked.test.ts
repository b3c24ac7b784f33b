import { crc32 } from 'node:zlib';
import { copyChecked } from '../../../src/moe/store/checked';
import type { ExpertRecord } from '../../../src/moe/store/container';

const bytes = Uint8Array.of(1, 2, 3, 4);
const record = { layer: 2, expert: 7, bytes: 4, crc: crc32(bytes) } as ExpertRecord;

test('copies an expert whose length and checksum are right', () => {
  const into = new Uint8Array(6);
  copyChecked('there', record, bytes, into);
  expect([...into]).toEqual([1, 2, 3, 4, 0, 0]);
});

test.each([
  [Uint8Array.of(1, 2, 3), '3 bytes came instead of 4'],
  [Uint8Array.of(1, 2, 3, 5), 'its checksum is wrong'],
])('refuses one that is not what was written, and copies nothing', (came, why) => {
  const into = new Uint8Array(4);
  expect(() => copyChecked('there', record, came, into)).toThrow(
    `Cannot read expert 7 of layer 2 from there: ${why}.`,
  );
  expect([...into]).toEqual([0, 0, 0, 0]);
});
