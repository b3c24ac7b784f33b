import { LowbitError } from '../base/errors';
import type { DType, Sample } from './ir';

/** What a source of samples gets to know about the model that it feeds. */
export interface InputSpec {
  /** The signature's name of the input. */
  readonly name: string;
  readonly dtype: DType;
  /** -1: dynamic; undefined: unknown rank. */
  readonly shape?: readonly number[];
  /** The model has a value for it; samples may leave it out. */
  readonly optional?: true;
}

/** Calibration or evaluation data: yields one batch at a time, so that memory does not grow with their number. */
export type SampleSource = (inputs: readonly InputSpec[]) => AsyncIterable<Sample>;

/** A sample and the class that every row of its batch is of, where that is known. */
export interface LabelledSample {
  readonly sample: Sample;
  readonly label?: number;
}

/** @param count more than 0 */
export async function* firstSamples(samples: AsyncIterable<Sample>, count: number): AsyncGenerator<Sample> {
  let seen = 0;
  for await (const sample of samples) {
    yield sample;
    if (++seen === count) return;
  }
}

/** Evaluation data whose right answers are known. */
export type LabelledSource = (inputs: readonly InputSpec[]) => AsyncIterable<LabelledSample>;

/** Samples whose classes are not known. */
export function unlabelled(source: SampleSource): LabelledSource {
  return async function* (inputs) {
    for await (const sample of source(inputs)) yield { sample };
  };
}

export function withoutLabels(source: LabelledSource): SampleSource {
  return async function* (inputs) {
    for await (const { sample } of source(inputs)) yield sample;
  };
}

/** How an image file becomes a model input. */
export interface ImageOptions {
  /** Side of the square input in pixels; default: the model's own input size. */
  imageSize?: number;
  /** `center`: the short side is resized to imageSize / cropFraction and the centre is cut; `none`: stretched. */
  crop?: 'center' | 'none';
  /** Default 0.875 (224 of 256). */
  cropFraction?: number;
  /**
   * Subtracted from 0..255 pixels, one number or one per channel (in the order of `color`). Default 127.5; 0 for a model
   * that takes whole numbers.
   */
  mean?: number | readonly number[];
  /** Divided by, after the mean. Default 127.5; 1 for a model that takes whole numbers. */
  std?: number | readonly number[];
  color?: 'rgb' | 'bgr';
  /** Where the channels are: last, or before height and width. Default: where the model has one or three of them. */
  layout?: 'nhwc' | 'nchw';
}

/** An output of a model, read back. */
export interface Output {
  name: string;
  shape: number[];
  values: Float32Array;
}

/** Height and width of made-up images where a model leaves them open. */
const OPEN_SIDE = 128;

/** The shape of a made-up input: one batch, and images of some size. */
function syntheticShape({ name, shape, dtype }: InputSpec, batch: number): number[] {
  const dims = shape?.map((dim, i) => {
    if (dim !== -1) return dim;
    return i === 0 ? batch : shape.length === 4 && shape[3] !== -1 ? OPEN_SIDE : dim;
  });
  if (dims === undefined || dims.some((dim) => dim < 1) || !(dtype in MADE_UP)) {
    throw new LowbitError(
      'invalid-argument',
      `Input '${name}' is ${dtype} of shape [${shape ?? 'unknown'}]: only numbers of a fixed size, and images, can be made up.`,
    );
  }
  return dims;
}

/** A value of each type from one in [-1, 1); whole numbers are those of pixels. */
const MADE_UP = {
  float32: { array: Float32Array, of: (x: number) => x },
  int32: { array: Int32Array, of: (x: number) => Math.floor((x + 1) * 128) },
  bool: { array: Uint8Array, of: (x: number) => Number(x > 0) },
};

/**
 * A sample of pseudo-random values in [-1, 1) for a model, in 0..255 where it takes whole numbers, the same every time.
 *
 * @throws LowbitError 'invalid-argument' where a dimension other than the batch and the size of an image is dynamic
 */
export function syntheticSample(inputs: readonly InputSpec[], batch = 1, seed = 1): Sample {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Knuth and Lewis's linear congruential generator
    return state / 2 ** 31 - 1;
  };
  const made = inputs
    .filter(({ optional }) => !optional)
    .map((input) => {
      const shape = syntheticShape(input, batch);
      const dtype = input.dtype as keyof typeof MADE_UP;
      const { array, of } = MADE_UP[dtype];
      const count = shape.reduce((product, dim) => product * dim, 1);
      const values = new array(count);
      for (let i = 0; i < count; i++) values[i] = of(next());
      return [input.name, { dtype, shape, values }] as const;
    });
  return Object.fromEntries(made);
}
