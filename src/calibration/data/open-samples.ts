import { LowbitError } from '../../errors';
import type { ImageOptions, SampleSource } from '../source';
import { imageFolder, isFolder } from './image-folder';
import { npyFile } from './npy';

/**
 * The samples at a path: a folder of images or a `.npy` file.
 *
 * @param imageOptions how images are prepared
 * @throws LowbitError 'io' or 'invalid-argument' where the path is neither
 */
export async function openSamples(path: string, imageOptions: ImageOptions = {}): Promise<SampleSource> {
  if (await isFolder(path)) return imageFolder(path, imageOptions);
  if (path.endsWith('.npy')) return npyFile(path);
  throw new LowbitError(
    'invalid-argument',
    `Expected a folder of images or a .npy file but received '${path}'.`,
  );
}
