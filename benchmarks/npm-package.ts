/** Packages that only a benchmark needs, and that are too large to install for all: fetched by npm once, into build/packages. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../src/base/package-root';

const run = promisify(execFile);

/**
 * Downloads a package and unpacks it, unless that was done before.
 *
 * @param name with its version: `onnxruntime-web@1.30.0`
 * @returns the folder of its package.json
 */
export async function unpackedPackage(name: string): Promise<string> {
  const packages = join(packageRoot(), 'build', 'packages');
  const folder = join(packages, name.replace(/[@/]/g, '_'));
  if (existsSync(folder)) return join(folder, 'package');
  mkdirSync(packages, { recursive: true });
  console.error(`fetching ${name}`);
  const fresh = mkdtempSync(join(packages, 'fetching-'));
  try {
    await run('npm', ['pack', name, '--pack-destination', fresh, '--silent']);
    const [archive] = readdirSync(fresh);
    await run('tar', ['-xzf', join(fresh, archive), '-C', fresh]);
    rmSync(join(fresh, archive));
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return join(folder, 'package');
}
