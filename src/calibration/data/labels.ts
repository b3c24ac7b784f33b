import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LowbitError } from '../../base/errors';
import { labelKey } from './image-folder';

/**
 * Reads a labels file: JSON that maps an image's path, relative to the file's own folder, to a class index or to
 * `{index, name}`.
 *
 * @returns the class index of an image by its path; undefined for an image without a label
 * @throws LowbitError 'io'
 */
export async function readLabels(path: string): Promise<(image: string) => number | undefined> {
  let labels: Record<string, unknown>;
  try {
    labels = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new LowbitError('io', `Cannot read the labels ${path}: ${(cause as Error).message}`, { cause });
  }
  const byImage = new Map<string, number>();
  for (const [image, label] of Object.entries(labels ?? {})) {
    const index = typeof label === 'number' ? label : (label as { index?: unknown } | null)?.index;
    if (!Number.isInteger(index)) {
      throw new LowbitError(
        'io',
        `${path}: expected a class index or {index, name} for '${image}' but found ${JSON.stringify(label)}.`,
      );
    }
    byImage.set(image, index as number);
  }
  return (image) => byImage.get(labelKey(dirname(path), image));
}
