/**
 * `npx tfjs-lowbit` installs this package without those that only some uses need. Where a command lacks one it runs again,
 * with what commands take; npm asks first, as it did for this package.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../base/package-root';

const NEEDED = ['sharp', '@tensorflow/tfjs-backend-wasm'];

function readPackage(folder: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return {};
  }
}

/** What npx was asked for, where it runs this program from its cache: `tfjs-lowbit`, or with a version. */
function npxPackages(): string[] | undefined {
  const { _npx: npx } = readPackage(join(packageRoot(), '..', '..')) as { _npx?: { packages?: string[] } };
  const asked = npx?.packages;
  return asked?.some((name) => NEEDED.some((needed) => name.startsWith(needed))) ? undefined : asked;
}

/** Runs the command again by npx, with what it needs. @returns its exit code; undefined where npx does not run it */
export function runAgainByNpx(): number | undefined {
  const packages = npxPackages();
  const { npm_execpath: npm } = process.env;
  if (packages === undefined || npm === undefined) return undefined;
  const { peerDependencies } = readPackage(packageRoot()) as { peerDependencies: Record<string, string> };
  const all = [...packages, ...NEEDED.map((name) => `${name}@${peerDependencies[name]}`)];
  const options = all.map((name) => `--package=${name}`);
  const args = [npm, 'exec', ...options, '--', 'tfjs-lowbit', ...process.argv.slice(2)];
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
}
