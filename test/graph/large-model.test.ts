// @needs engine
/** Memory of converting large float models, measured in a process of its own, and weights that stay in their files. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readModel } from '../../src/graph/read-model';
import { engineInfo } from '../../src/index.node';
import { writeLargeFloat } from '../support/large-float';
import { describeIf } from '../support/needs';
import { temporaryFolder } from '../support/tiny-model';

/** The memory of WebAssembly does not shrink when a model that was tried is disposed of. */
const LIMIT = engineInfo().kind === 'wasm' ? 2.2 : 2;

const script = resolve(__dirname, '..', 'support', 'convert-large.js');

/** Converts a large model by a recipe: the growth of the resident set, by stage and of all, over the bytes of its weights. */
function convertLarge(kind: Parameters<typeof writeLargeFloat>[0], layers: number, recipe: string) {
  const { location, bytes } = writeLargeFloat(kind, layers);
  expect(bytes).toBeGreaterThan(100e6);
  const output = join(temporaryFolder(), 'int8');
  const printed = execFileSync(process.execPath, [script, location, output, recipe], { encoding: 'utf8' });
  const growth = JSON.parse(printed.trim().split('\n').at(-1)!);
  const times = growth.all / bytes;
  console.info(`${kind}, ${recipe}: ${JSON.stringify(growth)}, ${times.toFixed(2)} times the weights`);
  expect(growth.checked).toBeGreaterThan(0);
  const written = readdirSync(output).reduce((sum, file) => sum + statSync(join(output, file)).size, 0);
  return { times, written: written / bytes };
}

const KINDS = [
  ['dense', 26],
  ['convolutions', 12],
  ['huge dense', 2],
  ['huge convolutions', 2],
] as const;

describeIf(
  existsSync('/proc/self/status'),
  'the /proc file system',
  'converting takes at most twice the bytes of the float model',
  () => {
    test.each(KINDS.slice(0, 2))(
      'of %s layers of over 100 MB by the fast recipe, the check included, at any time',
      (kind, layers) => {
        const { times, written } = convertLarge(kind, layers, 'fast');
        expect(times).toBeLessThan(2);
        expect(written).toBeLessThan(0.26);
      },
      600_000,
    );

    test.each(KINDS)(
      'of %s layers of over 100 MB by the default recipe, its search included, at any time',
      (kind, layers) => {
        expect(convertLarge(kind, layers, 'balanced').times).toBeLessThan(LIMIT);
      },
      600_000,
    );
  },
);

test('weights in their files are those that were written', async () => {
  const { location, filter, weight } = writeLargeFloat('convolutions', 3);
  const graph = await readModel(location);
  const elements = filter.reduce((product, d) => product * d, 1);
  for (const layer of [2, 0, 2, 1]) {
    const { values } = graph.constants.get(`w${layer}`)!;
    expect(values).toHaveLength(elements);
    const wrong = (values as Float32Array).findIndex((value, index) => value !== weight(layer, index));
    expect(wrong).toBe(-1);
  }
});
