// @needs engine
/**
 * The reference suites on the form of the relaxed dot product that takes signed codes, which Arm has: in Node.js for
 * arm64, emulated. `npm run ci:long` brings it (scripts/fetch-node-arm64.js); it takes minutes.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/base/package-root';
import { bundleForNode } from '../support/page/bundle';

const node = join(packageRoot(), 'build', 'tools', 'node-arm64', 'bin', 'node');
const CASES = Number(process.env.LOWBIT_TEST_CASES ?? 4);
const LIBRARIES = '/usr/aarch64-linux-gnu';

const describeArm = existsSync(node) ? describe : describe.skip;

describeArm('Node.js for arm64 (needs what npm run ci:long -- signed-dot-product fetches)', () => {
  test('has the signed form, and the suites pass on every module', async () => {
    const folder = join(packageRoot(), 'build', 'suites');
    await bundleForNode(folder, CASES);
    const args = ['-cpu', 'max', '-L', LIBRARIES, node, join(folder, 'suites.cjs')];
    const output = execFileSync('qemu-aarch64', args, {
      encoding: 'utf8',
      env: { ...process.env, LOWBIT_ENGINE: 'wasm', LOWBIT_ISA: '' },
      maxBuffer: 2 ** 28,
    });
    const { isas, dotForm, count, failures } = JSON.parse(output.trim().split('\n').at(-1)!);
    expect(dotForm).toBe('signed');
    expect(isas).toEqual(['wasm', 'wasmsimd', 'wasmrelaxed']);
    expect(failures).toEqual([]);
    console.log(`${count} tests, ${CASES} cases of each series`);
    expect(count).toBeGreaterThan(500);
  }, 3_600_000);
});
