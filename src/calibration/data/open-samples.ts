import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { LowbitError } from '../../base/errors';
import type { ImageOptions, SampleSource } from '../../graph/samples';
import { generatorModule } from './generator-module';
import { imageFolder, isFolder } from './image-folder';
import { namedSamples } from './named-samples';
import { npyFile } from './npy';
import { npzFile } from './npz';

const MODULES = new Set(['.mjs', '.cjs', '.js']);

async function openPath(path: string, imageOptions: ImageOptions): Promise<SampleSource> {
  if (await isFolder(path)) return imageFolder(path, imageOptions);
  const extension = extname(path).toLowerCase();
  if (extension === '.npy') return npyFile(path);
  if (extension === '.npz') return npzFile(path);
  if (MODULES.has(extension)) return generatorModule(path);
  throw new LowbitError(
    'invalid-argument',
    `Expected a folder of images, a .npy or .npz file, or a .mjs module but received '${path}'.`,
  );
}

/** `input=path`, unless all of it is a path that exists. */
function named(text: string): [name: string, path: string] | undefined {
  const at = text.indexOf('=');
  return at > 0 && !existsSync(text) ? [text.slice(0, at), text.slice(at + 1)] : undefined;
}

/** Commas separate where `input=` follows: a path may hold one. */
function split(text: string): string[] {
  return existsSync(text) ? [text] : text.split(/,(?=[^,=]+=)/);
}

/**
 * The samples that a text names: a folder of images, a `.npy` or `.npz` file, a JavaScript module whose default export
 * yields samples, or one of these for each input by name (`x=a.npy,y=b.npy`, or several texts).
 *
 * @param imageOptions how images are prepared
 * @throws LowbitError 'io' or 'invalid-argument' where it is none of these
 */
export async function openSamples(
  data: string | readonly string[],
  imageOptions: ImageOptions = {},
): Promise<SampleSource> {
  const parts = [data].flat().flatMap(split);
  const names = parts.map(named);
  if (parts.length === 1 && names[0] === undefined) {
    return openPath(parts[0], imageOptions);
  }
  const sources = new Map<string, SampleSource>();
  for (const [i, part] of parts.entries()) {
    const [name, path] = names[i] ?? [];
    if (name === undefined || path === undefined || sources.has(name)) {
      const problem = name === undefined ? `'${part}' names none` : `'${name}' is given twice`;
      throw new LowbitError(
        'invalid-argument',
        `Expected input=path for each input of the model: ${problem}.`,
      );
    }
    sources.set(name, await openPath(path, imageOptions));
  }
  return namedSamples(sources);
}
