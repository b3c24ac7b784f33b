/** The outline of a conversion; which of its files may know which is in scripts/layers.js. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../../src/conversion');
const STAGES = ['read', 'optimize', 'observe', 'decide', 'lower', 'check', 'write'];

const OUTLINE = ['convert.ts', 'convert-graph.ts'];

const outline = OUTLINE.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('');

test('every stage is a file or a folder, and the outline calls each', () => {
  const stages = readdirSync(join(ROOT, 'stages')).map((name) => name.replace(/\.ts$/, ''));
  expect(stages.toSorted()).toEqual(STAGES.toSorted());
  for (const stage of STAGES) expect(outline).toMatch(new RegExp(`\\b${stage}\\(`));
});

test('the outline has at most 100 lines', () => {
  expect(outline.split('\n').length - 1).toBeLessThanOrEqual(100);
});
