import { LowbitError } from '../base/errors';
import type { DType, Sample } from './ir';

/** What a source of samples gets to know about the model that it feeds. */
export interface InputSpec {
  /** The signature's name of the input. */
  readonly name: string;
  readonly dtype: DType;
  /** -1: dynamic; undefined: unknown rank. */
  readonly shape?: readonly number[];
}

/** Calibration or evaluation data: yields one batch at a time, so that memory does not grow with their number. */
export type SampleSource = (inputs: readonly InputSpec[]) => AsyncIterable<Sample>;

/** A sample and the class that every row of its batch is of, where that is known. */
export interface LabelledSample {
  readonly sample: Sample;
  readonly label?: number;
}

/** Evaluation data whose right answers are known. */
export type LabelledSource = (inputs: readonly InputSpec[]) => AsyncIterable<LabelledSample>;

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
  /** Subtracted from 0..255 pixels, one number or one per channel (in the order of `color`). Default 127.5. */
  mean?: number | readonly number[];
  /** Divided by, after the mean. Default 127.5. */
  std?: number | readonly number[];
  color?: 'rgb' | 'bgr';
}

/** An output of a model, read back. */
export interface Output {
  name: string;
  shape: number[];
  values: Float32Array;
}

/**
 * A sample of pseudo-random values in [-1, 1) for a model, the same every time.
 *
 * @throws LowbitError 'invalid-argument' where a dimension other than the batch is dynamic
 */
export function syntheticSample(inputs: readonly InputSpec[], batch = 1, seed = 1): Sample {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Knuth and Lewis's linear congruential generator
    return state / 2 ** 31 - 1;
  };
  return Object.fromEntries(
    inputs.map(({ name, shape, dtype }) => {
      const dims = shape?.map((dim, i) => (i === 0 && dim === -1 ? batch : dim));
      if (dims === undefined || dims.some((dim) => dim < 1) || dtype !== 'float32') {
        throw new LowbitError(
          'invalid-argument',
          `Input '${name}' is ${dtype} of shape [${shape ?? 'unknown'}]: only float32 inputs of a fixed size can be made up.`,
        );
      }
      const count = dims.reduce((product, dim) => product * dim, 1);
      return [
        name,
        { dtype: 'float32' as const, shape: dims, values: Float32Array.from({ length: count }, next) },
      ];
    }),
  );
}
