import { createHash } from 'node:crypto';
import { Sha256 } from '../../src/base/sha256';

test.each([0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])('%d bytes, whole and in pieces', (length) => {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 151 + 7) % 256);
  const expected = createHash('sha256').update(bytes).digest('hex');
  expect(new Sha256().update(bytes).digest()).toBe(expected);
  for (const size of [1, 3, 63, 64, 65]) {
    const hash = new Sha256();
    for (let at = 0; at < length; at += size) hash.update(bytes.subarray(at, at + size));
    expect(hash.digest()).toBe(expected);
  }
});

test('text counts as UTF-8', () => {
  const text = 'grün\0日本';
  expect(new Sha256().update(text).digest()).toBe(createHash('sha256').update(text).digest('hex'));
});
