/** Samples with their classes. */
import { dirname, join } from 'node:path';
import { LowbitError } from '../../base/errors';
import type { ImageOptions, LabelledSource } from '../../graph/samples';
import { imageInput, labelKey, listImages, readImage } from './image-folder';
import { readLabels } from './labels';

export interface LabelledImageOptions {
  imageOptions?: ImageOptions;
  /** JSON, path of an image relative to the file's own folder -> class index or `{index, name}`; absent: no labels. */
  labels?: string;
  /** Added to a label's index to get the model's class: 1 where class 0 is a background class. Default 0. */
  labelOffset?: number;
}

/**
 * The images of a folder, in the order of their names, with their classes.
 *
 * @throws LowbitError (while iterating) 'io' for what cannot be read; 'invalid-argument' for labels of none of the images
 */
export function labelledImages(folder: string, options: LabelledImageOptions = {}): LabelledSource {
  const { imageOptions = {}, labels, labelOffset = 0 } = options;
  return async function* (inputs) {
    const input = imageInput(inputs, imageOptions);
    const files = await listImages(folder);
    const labelOf = labels === undefined ? () => undefined : await readLabels(labels);
    if (labels !== undefined && !files.some((file) => labelOf(join(folder, file)) !== undefined)) {
      throw new LowbitError(
        'invalid-argument',
        `${labels} has a label for no image of ${folder}; expected keys like '${labelKey(dirname(labels), join(folder, files[0]))}'.`,
      );
    }
    for (const file of files) {
      const path = join(folder, file);
      const index = labelOf(path);
      const sample = { [input.name]: await readImage(path, input, imageOptions) };
      yield { sample, ...(index !== undefined && { label: index + labelOffset }) };
    }
  };
}
