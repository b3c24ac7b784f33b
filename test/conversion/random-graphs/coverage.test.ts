// @needs engine
/** Random graphs have every op that a matcher or a shape rule knows, and many that stay float. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MANY_RULES, RULES } from '../../../src/graph/shapes/rules';
import { matchNode } from '../../../src/passes/quantize/match/match-node';
import { randomOf } from '../../support/random';
import { Discarded, Drawing, SAMPLES } from '../../support/random-graphs/drawing';
import { TEMPLATES } from '../../support/random-graphs/templates';

/** Ops that are known here and not drawn, and why. */
const NOT_DRAWN: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['Placeholder', 'PlaceholderV2'].map((op) => [op, 'inputs of every graph'])),
  PlaceholderWithDefault: 'an input that may be left out; test/conversion/convert.test.ts',
  MixtureOfExperts: 'packed into a file; test/conversion/experts.test.ts',
  ...Object.fromEntries(
    ['SpaceToDepth', 'BitwiseAnd', 'EnsureShape', 'Dropout'].map((op) => [op, 'TF.js cannot run it']),
  ),
  Print: 'writes to the console',
  ...Object.fromEntries(
    ['LookupTableFind', 'LookupTableFindV2'].map((op) => [op, 'needs a table that is filled before']),
  ),
  ...Object.fromEntries(
    ['If', 'StatelessIf', 'While', 'StatelessWhile'].map((op) => [op, 'calls a function of the library']),
  ),
};

/** What looks like an op's name in the sources of the matchers, and all ops of TF.js and of the shape rules. */
function candidates(): Set<string> {
  const root = join(__dirname, '../../..');
  const folder = join(root, 'src/passes/quantize/match');
  const sources = [
    ...readdirSync(folder).map((file) => join(folder, file)),
    join(root, 'src/passes/linear-op.ts'),
    join(root, 'src/passes/fold-batch-norm.ts'),
  ].map((file) => readFileSync(file, 'utf8'));
  const words = sources.flatMap((source) => source.match(/\b_?[A-Z]\w+\b/g) ?? []);
  const kernels = require('@tensorflow/tfjs-converter/metadata/kernel2op.json') as Record<string, string[]>;
  return new Set([...words, ...Object.values(kernels).flat(), ...RULES.keys(), ...MANY_RULES.keys()]);
}

/** Whether a matcher says anything about an op, if only what it misses. */
function isMatched(op: string): boolean {
  const graph = { nodes: new Map(), constants: new Map(), inputs: [], outputs: [], source: {} };
  const inputs = ['a', 'b', 'c'].map((node) => ({ node, index: 0 }));
  const node = { name: 'node', op, inputs, attrs: {} };
  try {
    const answer = matchNode(node, { graph, shapes: new Map() }, 'float32');
    return answer !== `${op} has no quantized form` && op !== 'Identity';
  } catch {
    return true;
  }
}

const matched = [...candidates()].filter(isMatched);
const ruled = [...RULES.keys(), ...MANY_RULES.keys()];

test('every op that a matcher or a shape rule knows has a template', () => {
  expect(matched.length).toBeGreaterThan(50);
  const missing = [...new Set([...matched, ...ruled])].filter(
    (op) => !(op in TEMPLATES) && !(op in NOT_DRAWN),
  );
  expect(missing).toEqual([]);
});

test('what is not drawn is known here, and has no template', () => {
  const known = new Set([...matched, ...ruled]);
  expect(Object.keys(NOT_DRAWN).filter((op) => !known.has(op) || op in TEMPLATES)).toEqual([]);
});

test('many of the ops stay float', () => {
  const float = ruled.filter((op) => op in TEMPLATES && !matched.includes(op));
  expect(float.length).toBeGreaterThan(100);
});

const INPUTS = [
  [2, 6, 6, 4],
  [2, 6, 8],
  [2, 8],
  [2, 3, 4, 4, 2],
];

test.each(Object.keys(TEMPLATES))('%s can be drawn', async (name) => {
  for (let i = 0; i < 20; i++) {
    const random = randomOf(name, i);
    const d = new Drawing(random);
    for (const shape of INPUTS) {
      const shapes = new Array<number[]>(SAMPLES).fill(shape);
      d.input(shape, shapes, 'float32', () => random.real(-2, 2));
    }
    try {
      await TEMPLATES[name](d);
    } catch (error) {
      if (error instanceof Discarded) continue;
      throw error;
    }
    // Patterns have names of their own.
    if (/^_?[A-Z]/.test(name)) expect(d.ops()).toContain(name);
    return;
  }
  throw new Error(`${name} was discarded each time`);
});
