/** Which files of a conversion may know which. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const ROOT = join(__dirname, '../../src/conversion');

const FILES = (readdirSync(ROOT, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'));

/** Files of the conversion that a file imports, types included, from this folder on. */
function imports(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/\bfrom '(\.[^']*)'/g)]
    .map(([, path]) => `${relative(ROOT, join(ROOT, dirname(file), path!))}.ts`)
    .filter((path) => !path.startsWith('..'));
}

/** `stages/read.ts` -> `read`, `stages/decide/tune.ts` -> `decide`; undefined for what is no stage. */
const stageOf = (file: string) => /^stages\/([\w-]+)/.exec(file)?.[1];

const edges = FILES.flatMap((from) => imports(from).map((to) => [from, to] as const));

const violations = (forbidden: (from: string, to: string) => boolean) =>
  edges.filter(([from, to]) => forbidden(from, to)).map(([from, to]) => `${from} -> ${to}`);

test('there are files, and every import is of one of them', () => {
  expect(new Set(FILES.map(stageOf))).toEqual(
    new Set([undefined, 'read', 'optimize', 'observe', 'decide', 'lower', 'write']),
  );
  expect(violations((_, to) => !FILES.includes(to))).toEqual([]);
});

test('only entries know options', () => {
  const entries = ['convert.ts', 'quantize.ts', 'dry-run.ts'];
  const options = (file: string) => file.startsWith('options/');
  expect(violations((from, to) => options(to) && !options(from) && !entries.includes(from))).toEqual([]);
});

test('no stage imports another stage', () => {
  const other = (from: string, to: string) => stageOf(to) !== undefined && stageOf(from) !== stageOf(to);
  expect(violations((from, to) => stageOf(from) !== undefined && other(from, to))).toEqual([]);
});

test('no stage calls an entry', () => {
  const entry = (file: string) => ['convert.ts', 'quantize.ts', 'dry-run.ts'].includes(file);
  expect(violations((from, to) => stageOf(from) !== undefined && entry(to))).toEqual([]);
});

test('convert.ts reads like a list of its stages', () => {
  expect(readFileSync(join(ROOT, 'convert.ts'), 'utf8').split('\n').length - 1).toBeLessThanOrEqual(80);
});
