/** What the documents name is there: files of the repository, scripts of package.json, kernels. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import * as kernels from '../../kernels/functions';

const root = resolve(__dirname, '..', '..');
const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'benchmarks/README.md',
  'docs/architecture.md',
  'docs/browsers.md',
  'docs/deploying.md',
  'docs/mixture-of-experts.md',
  'docs/releasing.md',
];

const read = (document: string) => readFileSync(join(root, document), 'utf8');
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found]) => found);

test.each(DOCUMENTS)('%s names files that exist', (document) => {
  const text = read(document);
  const links = matches(text, /\]\((?!https?:|#)([^)#]+)/g).map((link) => join(dirname(document), link));
  const paths = matches(text, /`((?:src|kernels|native|test|scripts|benchmarks|docs|examples)\/[\w./-]+)`/g);
  expect([...links, ...paths].filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test.each(DOCUMENTS)('%s names scripts that package.json has', (document) => {
  const { scripts } = JSON.parse(read('package.json'));
  const named = matches(read(document), /npm run ([\w:-]+)/g);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('README names kernels that are exported', () => {
  const named = matches(read('README.md'), /`(quantized[A-Z]\w*|hadamard|moeRoute|piDequant|linearFloat)`/g);
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((name) => !(name in kernels))).toEqual([]);
});
