/** Models and images that lie beside the repository, in ../shared; not part of it. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const folder = resolve(__dirname, '..', '..', '..', 'shared');

export function shared(...path: string[]): string {
  return join(folder, ...path);
}

/**
 * `describe` for tests that need ../shared: skipped with a notice where it is absent, except in CI, where they then fail.
 */
export function describeWithShared(name: string, body: () => void): void {
  if (existsSync(folder) || process.env.CI) {
    describe(name, body);
  } else {
    describe.skip(`${name} (needs ../shared, which is absent)`, body);
  }
}
