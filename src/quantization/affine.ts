/** Affine INT8: the parameters of activations from their range, and weights with a scale per channel. */
import { LowbitError } from '../base/errors';
import type { AffineParams } from '../program/affine-params';
import { roundHalfToEven } from './activation';
import { gridBounds } from './weight-grid';
import { leastSquaresBounds, type WeightRange } from './weight-range';

/** Observed bounds of a tensor's real values. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Ranges narrower than this hold nothing but zeros: a scale from them would leave the normal float32 numbers. */
const MIN_RANGE = 2 ** -100;

/**
 * Chooses the affine INT8 parameters of a tensor from its observed range.
 *
 * @param range observed bounds of the real values; widened to include 0, so that zero padding is exact
 * @returns scale (> 0, a float32 number, real units per step) and zeroPoint (integer in [-128, 127])
 * @throws LowbitError 'invalid-range' if either bound is NaN or infinite, or the bounds are swapped
 * @see Jacob et al. 2018, section 2.1
 */
export function chooseAffine(range: Range): AffineParams {
  if (!Number.isFinite(range.min) || !Number.isFinite(range.max) || range.min > range.max) {
    throw new LowbitError(
      'invalid-range',
      `Expected finite bounds, min <= max, but found [${range.min}, ${range.max}].`,
    );
  }
  const min = Math.min(range.min, 0);
  const max = Math.max(range.max, 0);
  if (max - min < MIN_RANGE) return { scale: 1, zeroPoint: 0 };
  const scale = Math.fround((max - min) / 255);
  return { scale, zeroPoint: Math.min(127, Math.max(-128, roundHalfToEven(-128 - min / scale))) };
}

/**
 * The same for values on both sides of zero, such as those of a rotated tensor: the zero point is 0.
 *
 * @param bound largest |x| to hold
 */
export function chooseSymmetric(bound: number): AffineParams {
  return { scale: bound < MIN_RANGE ? 1 : Math.fround(bound / 127), zeroPoint: 0 };
}

export interface FilterCodes {
  /** In [-127, 127], in the order of the values given. */
  readonly codes: Int8Array;
  /** Real units per step, one per output channel. */
  readonly scales: Float32Array;
}

/** A channel this much weaker than the strongest of its layer keeps a scale of this fraction of the layer's. */
const WEAKEST_CHANNEL = 2 ** -24;

/** Far below the weights of any network, and far above where float32 loses precision. */
const MIN_SCALE = 2 ** -100;

/** Room for the bias and for the products in an int32 accumulator, half each. */
const HALF_ACCUMULATOR = 2 ** 30 - 1;

/** Half the accumulator, and what rounding scales to float32 makes of it. */
const MAX_BIAS = HALF_ACCUMULATOR + 2 ** 10;

/** Rounding adds up to half a code per weight to a sum of codes; this share leaves room for it. */
const DEPTH_SHARE = 0.5;

/** The largest distance of an activation code from its zero point. */
const MAX_ACTIVATION = 255;

function channelMaxima(values: Float32Array, channel: (i: number) => number, channels: number): Float64Array {
  const maxima = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) {
    const c = channel(i);
    maxima[c] = Math.max(maxima[c], Math.abs(values[i]));
  }
  return maxima;
}

function channelSums(values: Float32Array, channel: (i: number) => number, channels: number): Float64Array {
  const sums = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) sums[channel(i)] += Math.abs(values[i]);
  return sums;
}

/**
 * Quantizes the weights of a layer symmetrically, with one scale per output channel: the bound of its |w| / 127, or the
 * step of the grid that the channel lies on.
 *
 * A scale is widened where the bias would not fit int32 at inputScale * scale, where the accumulator could overflow
 * for the layer's depth, and where a channel is dead (all but zero): its scale must stay a normal float32 number.
 *
 * @param values real weights
 * @param channel output channel of each flat index of `values`
 * @param bias real bias, one per channel
 * @param inputScale scale of the activation that the weights multiply
 * @param range how the bound is chosen
 * @param strongest the largest |w| of the layer, where these are not all of its channels
 * @see Krishnamoorthi 2018, section 3.1 (symmetric, per channel)
 */
export function quantizeFilter(
  values: Float32Array,
  channel: (i: number) => number,
  channels: number,
  bias: Float32Array | undefined,
  inputScale: number,
  range: WeightRange = 'max',
  strongest?: number,
): FilterCodes {
  const maxima = channelMaxima(values, channel, channels);
  const chosen = range === 'mse' ? leastSquaresBounds(values, channel, maxima) : maxima;
  const grid = gridBounds(values, channel, maxima);
  const bounds = chosen.map((bound, c) => grid[c] ?? bound);
  const sums = channelSums(values, channel, channels);
  const weakest = (strongest ?? maxima.reduce((most, max) => Math.max(most, max), 0)) * WEAKEST_CHANNEL;
  const scales = Float32Array.from(bounds, (bound, c) => {
    const forWeights = Math.max(bound, weakest) / 127;
    const forBias = Math.abs(bias?.[c] ?? 0) / inputScale / HALF_ACCUMULATOR;
    const forDepth = (sums[c] * MAX_ACTIVATION) / (HALF_ACCUMULATOR * DEPTH_SHARE);
    return Math.max(forWeights, forBias, forDepth, MIN_SCALE);
  });
  // A plain loop: Int8Array.from with a function makes a list of all values on the way.
  const codes = new Int8Array(values.length);
  for (let i = 0; i < codes.length; i++) {
    codes[i] = Math.min(127, Math.max(-127, roundHalfToEven(values[i] / scales[channel(i)])));
  }
  return { codes, scales };
}

/**
 * The bias of a layer as its accumulator holds it: int32 at inputScale * scales[c]. `quantizeFilter` chose scales that fit
 * the bias; what it gained since (a correction, an offset) may not take the room of the products.
 */
export function quantizeBias(bias: ArrayLike<number>, scales: Float32Array, inputScale: number): Int32Array {
  return Int32Array.from(bias, (b, c) => {
    const code = roundHalfToEven(b / (inputScale * scales[c]));
    return Math.min(MAX_BIAS, Math.max(-MAX_BIAS, code));
  });
}
