import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const NAME = 'tfjs-lowbit';

/** The nearest folder above that has a package.json; the folder itself where there is none. */
function packageAbove(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) return start;
  }
}

function isOurs(folder: string): boolean {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).name === NAME;
  } catch {
    return false;
  }
}

let found: string | undefined;

/**
 * The folder of this package: the sources and dist/ lie at different depths of it, and a bundle of a program elsewhere,
 * near an installation of this package or alone. Then it is the folder of the program.
 */
export function packageRoot(): string {
  if (found !== undefined) return found;
  // Bundles of ES modules have no __dirname.
  const here = typeof __dirname === 'string' ? __dirname : dirname(process.argv[1] ?? '.');
  const above = packageAbove(here);
  found = above;
  if (!isOurs(above)) {
    try {
      found = dirname(createRequire(join(above, 'package.json')).resolve(`${NAME}/package.json`));
    } catch {
      // It is in the bundle only.
    }
  }
  return found;
}
