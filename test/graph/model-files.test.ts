import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { toPath } from '../../src/graph/model-files';

test('a model is named by its file, its folder or a URL of either', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lowbit-'));
  const file = join(folder, 'model.json');
  writeFileSync(file, '{}');
  for (const location of [file, folder, pathToFileURL(file).href, pathToFileURL(folder).href]) {
    expect(toPath(location)).toBe(file);
  }
  expect(toPath(join(folder, 'none'))).toBe(join(folder, 'none'));
});
