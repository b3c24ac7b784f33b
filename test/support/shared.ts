/** Models and images that lie beside the repository, in ../shared; not part of it. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describeIf } from './needs';

const folder = resolve(__dirname, '..', '..', '..', 'shared');

export function shared(...path: string[]): string {
  return join(folder, ...path);
}

/** `describe` for tests that need ../shared. */
export function describeWithShared(name: string, body: () => void): void {
  describeIf(existsSync(folder), '../shared, which is absent', name, body);
}
