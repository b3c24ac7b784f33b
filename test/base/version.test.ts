import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { VERSION } from '../../src/base/version';

test("the version is package.json's", () => {
  const text = readFileSync(join(resolve(__dirname, '..', '..'), 'package.json'), 'utf8');
  expect(VERSION).toBe(JSON.parse(text).version);
});
