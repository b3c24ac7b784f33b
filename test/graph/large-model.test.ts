// @needs engine
/** Memory of converting large float models, measured in a process of its own, and weights that stay in their files. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readModel } from '../../src/graph/read-model';
import { writeLargeFloat } from '../support/large-float';
import { describeIf } from '../support/needs';
import { temporaryFolder } from '../support/tiny-model';

const script = resolve(__dirname, '..', 'support', 'convert-large.js');

describeIf(
  existsSync('/proc/self/status'),
  'the /proc file system',
  'converting by the fast recipe takes at most twice the bytes of the float model',
  () => {
    test.each([
      ['dense', 26],
      ['convolutions', 12],
    ] as const)(
      'of %s layers of over 100 MB, the check included, at any time',
      (kind, layers) => {
        const { location, bytes } = writeLargeFloat(kind, layers);
        expect(bytes).toBeGreaterThan(100e6);
        const output = join(temporaryFolder(), 'int8');
        const printed = execFileSync(process.execPath, [script, location, output], { encoding: 'utf8' });
        const growth = JSON.parse(printed.trim().split('\n').at(-1)!);
        console.info(
          `${kind}: ${JSON.stringify(growth)}, ${(growth.all / bytes).toFixed(2)} times the weights`,
        );
        expect(growth.checked).toBeGreaterThan(0);
        expect(growth.all).toBeLessThan(2 * bytes);
        const int8 = readdirSync(output).reduce((sum, file) => sum + statSync(join(output, file)).size, 0);
        expect(int8).toBeLessThan(0.26 * bytes);
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
