/**
 * `npx tfjs-lowbit` installs this package without those that only some uses need. Where a command lacks one it runs again,
 * with what commands take; npm asks first, as it did for this package.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { packageRoot } from '../base/package-root';

const NEEDED = ['sharp', '@tensorflow/tfjs-backend-wasm'];

interface PackageJson {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly _npx?: { readonly packages?: readonly string[] };
}

function readPackage(folder: string): PackageJson {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return {};
  }
}

/** What npx was asked for, where it runs this program from its cache: `tfjs-lowbit`, or with a version. */
function npxPackages(): readonly string[] | undefined {
  const folder = join(packageRoot(), '..', '..');
  if (basename(dirname(folder)) !== '_npx') return undefined;
  const { _npx: npx, dependencies = {} } = readPackage(folder);
  // The npm of Node.js 20 tells only what it made of that.
  const asked = npx?.packages ?? Object.entries(dependencies).map(([name, range]) => `${name}@${range}`);
  return asked.some((name) => NEEDED.some((needed) => name.startsWith(needed))) ? undefined : asked;
}

/** Runs the command again by npx, with what it needs. @returns its exit code; undefined where npx does not run it */
export function runAgainByNpx(): number | undefined {
  const packages = npxPackages();
  const { npm_execpath: npm } = process.env;
  if (packages === undefined || npm === undefined) return undefined;
  const { peerDependencies = {} } = readPackage(packageRoot());
  const all = [...packages, ...NEEDED.map((name) => `${name}@${peerDependencies[name]}`)];
  const options = all.map((name) => `--package=${name}`);
  const args = [npm, 'exec', ...options, '--', 'tfjs-lowbit', ...process.argv.slice(2)];
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
}
