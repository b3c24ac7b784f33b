/** Image files as samples of a model with one image input. */
import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type sharpModule from 'sharp';
import { checkArgument, LowbitError } from '../../base/errors';
import { missingPackage } from '../../base/missing-package';
import type { DenseTensor } from '../../graph/ir';
import type { ImageOptions, InputSpec, SampleSource } from '../../graph/samples';

const CHANNELS = 3;
const DEFAULT_CROP_FRACTION = 0.875;

function loadSharp(): typeof sharpModule {
  try {
    return require('sharp');
  } catch (cause) {
    throw missingPackage('sharp', 'Reading images', cause);
  }
}

/** How the names of files that sharp reads end. */
function imageSuffixes(): string[] {
  const { format } = loadSharp();
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

/** An input that takes images, and the form that images get for it. */
export interface ImageInput {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  readonly layout: 'nhwc' | 'nchw';
  /** Takes pixels as whole numbers. */
  readonly whole: boolean;
}

const isColour = (channels: number): channels is 1 | 3 => channels === 1 || channels === CHANNELS;

/** Where an input has its channels, if it may be an image; an open number of channels counts as three. */
function imageLayout({ shape, dtype }: InputSpec, { layout }: ImageOptions): 'nhwc' | 'nchw' | undefined {
  if (shape?.length !== 4 || (dtype !== 'float32' && dtype !== 'int32')) return undefined;
  const [, first, , last] = shape;
  if (layout !== 'nchw' && (isColour(last) || last === -1)) return 'nhwc';
  return layout !== 'nhwc' && (isColour(first) || (layout === 'nchw' && first === -1)) ? 'nchw' : undefined;
}

/** The one input of a model that takes images, and the form that images get. */
export function imageInput(inputs: readonly InputSpec[], options: ImageOptions): ImageInput {
  const needed = inputs.filter(({ optional }) => !optional);
  const [input] = needed;
  const layout = input && imageLayout(input, options);
  if (needed.length !== 1 || !layout) {
    const found = inputs.map(({ name, shape }) => `'${name}' [${shape ?? 'unknown'}]`).join(', ');
    const advice =
      needed.length > 1
        ? 'Name the data of each input: image=folder,other=data.npy.'
        : 'One channel, and channels before height and width, will do too. Give samples of your own otherwise.';
    throw new LowbitError(
      'invalid-argument',
      `Images need a model with one input of shape [batch, height, width, 3]; this one has ${found}. ${advice}`,
    );
  }
  const [, ...sizes] = input.shape!;
  const [modelHeight, modelWidth, found] = layout === 'nhwc' ? sizes : [sizes[1], sizes[2], sizes[0]];
  const height = options.imageSize ?? modelHeight;
  const width = options.imageSize ?? modelWidth;
  checkArgument(
    Number.isInteger(height) && height > 0 && width > 0,
    'imageSize',
    'a positive integer (the model does not define the size of its input)',
    options.imageSize,
  );
  const channels = isColour(found) ? found : CHANNELS;
  return { name: input.name, height, width, channels, layout, whole: input.dtype === 'int32' };
}

function perChannel(name: string, value: number | readonly number[], channels: number): readonly number[] {
  const given = typeof value === 'number' ? [value] : value;
  const values = given.length === 1 ? new Array<number>(channels).fill(given[0]) : given;
  const expected = channels === 1 ? 'one number' : 'one number or three';
  checkArgument(values.length === channels && values.every(Number.isFinite), name, expected, value);
  return values;
}

/** How sharp refuses an image of more pixels than it decodes. */
const PIXEL_LIMIT = /exceeds pixel limit/;

/** Of an image that is resized before it is cropped; as many as sharp decodes at most. */
const MAX_PIXELS = 0x3fff ** 2;

/** One of a few rows, or columns, becomes large where its short side is resized. */
function checkEnlarged(
  { width, height }: { width: number; height: number },
  to: { width: number; height?: never } | { height: number; width?: never },
): void {
  const pixels =
    to.width === undefined ? (width / height) * to.height ** 2 : (height / width) * to.width ** 2;
  if (pixels <= MAX_PIXELS) return;
  throw new LowbitError(
    'limit',
    `it has ${width} x ${height} pixels, which would become ${Math.round(pixels)} with its short side resized; ` +
      `expected at most ${MAX_PIXELS}; stretch it (crop: 'none'), or leave it out`,
  );
}

/** Decodes and resizes an image file: pixels [height, width, channels], of as many channels as are decoded. */
async function readPixels(
  file: string,
  { height, width, channels }: ImageInput,
  options: ImageOptions,
): Promise<Buffer> {
  const sharp = loadSharp();
  const { crop = 'center', cropFraction = DEFAULT_CROP_FRACTION } = options;
  try {
    let image = sharp(file)
      .rotate()
      .flatten()
      .toColourspace(channels === 1 ? 'b-w' : 'srgb');
    if (crop === 'center') {
      const { autoOrient } = await sharp(file).metadata();
      const wider = autoOrient.width * height >= autoOrient.height * width;
      const to = wider
        ? { height: Math.round(height / cropFraction) }
        : { width: Math.round(width / cropFraction) };
      checkEnlarged(autoOrient, to);
      image = image.resize(to);
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
    return await image.raw().toBuffer();
  } catch (cause) {
    const code = cause instanceof LowbitError || PIXEL_LIMIT.test((cause as Error).message) ? 'limit' : 'io';
    throw new LowbitError(code, `Cannot decode the image ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Decodes, resizes and normalizes an image file: [1, height, width, channels], or with the channels first. */
export async function readImage(
  file: string,
  input: ImageInput,
  options: ImageOptions,
): Promise<DenseTensor> {
  const { height, width, channels, layout, whole } = input;
  const { cropFraction = DEFAULT_CROP_FRACTION, color = 'rgb' } = options;
  const mean = perChannel('mean', options.mean ?? (whole ? 0 : 127.5), channels);
  const std = perChannel('std', options.std ?? (whole ? 1 : 127.5), channels);
  checkArgument(!std.includes(0), 'std', 'numbers other than 0', options.std);
  const share = cropFraction > 0 && cropFraction <= 1;
  checkArgument(share, 'cropFraction', 'a number above 0, at most 1', cropFraction);
  const pixels = await readPixels(file, input, options);
  const area = height * width;
  const decoded = pixels.length / area;
  const values = new (whole ? Int32Array : Float32Array)(area * channels);
  const first = layout === 'nchw';
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < channels; c++) {
      const source = color === 'bgr' ? channels - 1 - c : c;
      const pixel = pixels[i * decoded + (decoded < channels ? 0 : source)];
      const value = (pixel - mean[c]) / std[c];
      values[first ? c * area + i : i * channels + c] = whole ? Math.round(value) : value;
    }
  }
  const shape = first ? [1, channels, height, width] : [1, height, width, channels];
  return { dtype: whole ? 'int32' : 'float32', shape, values };
}

/**
 * The images of a folder and its subfolders, in the order of their names, one per sample.
 *
 * @param folder path of the folder
 * @returns a source for models with one input [batch, height, width, 3], of one channel, or with the channels first
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
