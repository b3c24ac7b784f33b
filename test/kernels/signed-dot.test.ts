// @needs engine
/**
 * The reference suites on the form of the relaxed dot product that takes signed codes, which Arm has: in Node.js for
 * arm64, emulated. `npm run ci:long` brings it (scripts/platform-node.js); it takes minutes.
 */
import { join } from 'node:path';
import { packageRoot } from '../../src/base/package-root';
import { bundleForNode } from '../support/page/bundle';

const { nodeOf, runNode } = require('../../scripts/platform-node');

const node = nodeOf('linux-arm64');
const CASES = Number(process.env.LOWBIT_TEST_CASES ?? 4);

const describeArm = 'missing' in node ? describe.skip : describe;

describeArm('Node.js for arm64 (needs what npm run ci:long -- signed-dot-product fetches)', () => {
  test('has the signed form, and the suites pass on every module', async () => {
    const folder = join(packageRoot(), 'build', 'suites');
    await bundleForNode(folder, CASES);
    const env = { LOWBIT_ENGINE: 'wasm', LOWBIT_ISA: '' };
    const { status, output } = runNode(node, [join(folder, 'suites.cjs')], { env });
    expect(status).toBe(0);
    const { isas, dotForm, count, failures } = JSON.parse(output.trim().split('\n').at(-1)!);
    expect(dotForm).toBe('signed');
    expect(isas).toEqual(['wasm', 'wasmsimd', 'wasmrelaxed']);
    expect(failures).toEqual([]);
    console.log(`${count} tests, ${CASES} cases of each series`);
    expect(count).toBeGreaterThan(500);
  }, 3_600_000);
});
