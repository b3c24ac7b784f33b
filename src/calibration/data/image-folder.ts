/** Image files as samples of a model with one image input. */
import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type sharpModule from 'sharp';
import { checkArgument, LowbitError } from '../../base/errors';
import type { DenseTensor } from '../../graph/ir';
import type { ImageOptions, InputSpec, SampleSource } from '../../graph/samples';

const CHANNELS = 3;
const DEFAULT_CROP_FRACTION = 0.875;

/** How the names of files that sharp reads end. */
function imageSuffixes(): string[] {
  const { format } = require('sharp') as typeof sharpModule;
  const inputs = Object.values(format).map(({ input }) => input as { file: boolean; fileSuffix?: string[] });
  return inputs.flatMap(({ file, fileSuffix }) => (file ? (fileSuffix ?? []) : []));
}

/** The image files below a folder, sorted by their path relative to it (with `/`). */
export async function listImages(folder: string): Promise<string[]> {
  let entries: string[];
  try {
    entries = await readdir(folder, { recursive: true });
  } catch (cause) {
    throw new LowbitError('io', `Cannot read the image folder ${folder}: ${(cause as Error).message}`, {
      cause,
    });
  }
  const suffixes = imageSuffixes();
  const images: string[] = [];
  for (const entry of entries) {
    const named = suffixes.some((suffix) => entry.toLowerCase().endsWith(suffix));
    if (named && !(await isFolder(join(folder, entry)))) images.push(entry.split(sep).join('/'));
  }
  images.sort();
  if (images.length === 0) {
    throw new LowbitError('io', `${folder} holds no image (${suffixes.join(', ')}).`);
  }
  return images;
}

/** The one input of a model that takes images, and the size that images get. */
export function imageInput(
  inputs: readonly InputSpec[],
  options: ImageOptions,
): { name: string; height: number; width: number } {
  const [input] = inputs;
  const channels = input?.shape?.[3];
  if (inputs.length !== 1 || input.shape?.length !== 4 || (channels !== CHANNELS && channels !== -1)) {
    const found = inputs.map(({ name, shape }) => `'${name}' [${shape ?? 'unknown'}]`).join(', ');
    throw new LowbitError(
      'invalid-argument',
      `Images need a model with one input of shape [batch, height, width, 3]; this one has ${found}. Give samples of your own.`,
    );
  }
  const [, modelHeight, modelWidth] = input.shape;
  const height = options.imageSize ?? modelHeight;
  const width = options.imageSize ?? modelWidth;
  checkArgument(
    Number.isInteger(height) && height > 0 && width > 0,
    'imageSize',
    'a positive integer (the model does not define the size of its input)',
    options.imageSize,
  );
  return { name: input.name, height, width };
}

function perChannel(name: string, value: number | readonly number[]): readonly number[] {
  const given = typeof value === 'number' ? [value] : value;
  const values = given.length === 1 ? new Array<number>(CHANNELS).fill(given[0]) : given;
  checkArgument(
    values.length === CHANNELS && values.every(Number.isFinite),
    name,
    'one number or three',
    value,
  );
  return values;
}

/** Decodes, resizes and normalizes an image file: float32 [1, height, width, 3]. */
export async function readImage(
  file: string,
  { height, width }: { height: number; width: number },
  options: ImageOptions,
): Promise<DenseTensor> {
  const sharp = require('sharp') as typeof sharpModule;
  const { crop = 'center', cropFraction = DEFAULT_CROP_FRACTION, color = 'rgb' } = options;
  const mean = perChannel('mean', options.mean ?? 127.5);
  const std = perChannel('std', options.std ?? 127.5);
  checkArgument(!std.includes(0), 'std', 'numbers other than 0', options.std);
  const share = cropFraction > 0 && cropFraction <= 1;
  checkArgument(share, 'cropFraction', 'a number above 0, at most 1', cropFraction);
  let pixels: Buffer;
  try {
    let image = sharp(file).rotate().flatten().toColourspace('srgb');
    if (crop === 'center') {
      const { autoOrient } = await sharp(file).metadata();
      const wider = autoOrient.width * height >= autoOrient.height * width;
      image = image.resize(
        wider ? { height: Math.round(height / cropFraction) } : { width: Math.round(width / cropFraction) },
      );
      // The crop is a step of its own: sharp folds two resizes of one pipeline into one.
      const resized = await image.raw().toBuffer({ resolveWithObject: true });
      const { info } = resized;
      const left = Math.floor((info.width - width) / 2);
      const top = Math.floor((info.height - height) / 2);
      image = sharp(resized.data, {
        raw: { width: info.width, height: info.height, channels: info.channels },
      }).extract({ left, top, width, height });
    } else {
      image = image.resize(width, height, { fit: 'fill' });
    }
    pixels = await image.raw().toBuffer();
  } catch (cause) {
    throw new LowbitError('io', `Cannot decode the image ${file}: ${(cause as Error).message}`, { cause });
  }
  const channels = pixels.length / (height * width);
  const values = new Float32Array(height * width * CHANNELS);
  for (let i = 0; i < values.length; i++) {
    const c = i % CHANNELS;
    const source = color === 'bgr' ? CHANNELS - 1 - c : c;
    const pixel = pixels[((i - c) / CHANNELS) * channels + (channels === 1 ? 0 : source)];
    values[i] = (pixel - mean[c]) / std[c];
  }
  return { dtype: 'float32', shape: [1, height, width, CHANNELS], values };
}

/**
 * The images of a folder and its subfolders, in the order of their names, one per sample.
 *
 * @param folder path of the folder
 * @returns a source for models with one input [batch, height, width, 3]
 * @throws LowbitError (while iterating) 'io' for a folder without images or a file that does not decode
 */
export function imageFolder(folder: string, options: ImageOptions = {}): SampleSource {
  return async function* (inputs) {
    const input = imageInput(inputs, options);
    for (const file of await listImages(folder)) {
      yield { [input.name]: await readImage(join(folder, file), input, options) };
    }
  };
}

export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new LowbitError('io', `Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The path of an image relative to the folder of a labels file, as labels name it. */
export function labelKey(labelsFolder: string, image: string): string {
  return relative(labelsFolder, image).split(sep).join('/');
}
