/** What is published, and what keeps a version from it. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from '../support/tiny-model';

const { writePackage } = require('../../scripts/package-contents');
const { changelogProblems } = require('../../scripts/release');

const root = resolve(__dirname, '..', '..');
const read = (folder: string) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

test('the published package runs no scripts, depends on the platforms alone, and has all that it names', () => {
  const folder = join(temporaryFolder(), 'package');
  writePackage(folder, ['@tfjs-lowbit/linux-x64']);
  const { scripts, dependencies, devDependencies, optionalDependencies, version, main, bin, exports } =
    read(folder);
  expect([scripts, dependencies, devDependencies]).toEqual([undefined, undefined, undefined]);
  expect(optionalDependencies).toEqual({ '@tfjs-lowbit/linux-x64': version });
  const named: string[] = [main, bin['tfjs-lowbit'], ...JSON.stringify(exports).match(/\.\/[^"]+\.\w+/g)!];
  expect(named.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
});

test('a clone names no package that may not be published yet', () => {
  const { optionalDependencies, scripts } = read(root);
  expect(optionalDependencies).toBeUndefined();
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([]);
});

test.each([
  ['## Unreleased\n\n## 1.2.3 (2027-01-31)\n', []],
  ['## Unreleased\n\n- a\n\n## 1.2.3 (2027-01-31)\n', [/has changes under "Unreleased"/]],
  ['## Unreleased\n\n## 1.2.3\n', [/has no section "## 1\.2\.3 \(YYYY-MM-DD\)"/]],
  ['## 1.2.3 (2027-01-31)\n', [/has no section "## Unreleased"/]],
  ['## Unreleased\n\n## 1x2x3 (2027-01-31)\n', [/has no section "## 1\.2\.3/]],
])('the change log %j', (text, expected) => {
  expect(changelogProblems(`# Changelog\n\n${text}`, '1.2.3')).toEqual(
    expected.map((problem) => expect.stringMatching(problem)),
  );
});
