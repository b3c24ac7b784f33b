/** The outline of a conversion; which of its files may know which is in scripts/layers.js. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../../src/conversion');
const STAGES = ['read', 'optimize', 'observe', 'decide', 'lower', 'write'];

const convert = readFileSync(join(ROOT, 'convert.ts'), 'utf8');

test('every stage is a file or a folder, and convert.ts calls each', () => {
  const stages = readdirSync(join(ROOT, 'stages')).map((name) => name.replace(/\.ts$/, ''));
  expect(stages.toSorted()).toEqual(STAGES.toSorted());
  for (const stage of STAGES) expect(convert).toMatch(new RegExp(`\\b${stage}\\(`));
});

test('convert.ts has at most 80 lines', () => {
  expect(convert.split('\n').length - 1).toBeLessThanOrEqual(80);
});
