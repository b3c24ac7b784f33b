/** Builds and runs the program of native/test/compare: every kernel of every instruction set equals the scalar one. */
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { TEST_SEED } from './random';

const root = resolve(__dirname, '..', '..');

/** @returns the path of the program, for this machine or for 64-bit Arm */
export function buildCompareKernels(arm64 = false): string {
  const flags = arm64 ? ['--arm64'] : [];
  execFileSync(process.execPath, [join(root, 'scripts', 'build-native.js'), '--compare-kernels', ...flags]);
  return join(root, 'build', `compare-kernels${arm64 ? '-arm64' : ''}`);
}

/**
 * Runs the program, directly or behind an emulator.
 *
 * @returns the variant that dispatch picks and those that equal the scalar one
 * @throws with the first difference
 */
export function compareKernels(
  command: readonly string[],
  cases: number,
): { picked: string; equal: string[] } {
  const [file, ...args] = [...command, String(TEST_SEED), String(cases)];
  let output: string;
  try {
    output = execFileSync(file!, args, { encoding: 'utf8' });
  } catch (error) {
    throw new Error(`${command.join(' ')} failed:\n${(error as { stdout: string }).stdout}`, {
      cause: error,
    });
  }
  return {
    picked: /dispatch picks (\w+)/.exec(output)![1]!,
    equal: [...output.matchAll(/(\w+) equals scalar/g)].map(([, name]) => name!),
  };
}
