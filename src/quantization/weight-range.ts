/** How the bounds of a layer's weights are chosen, channel by channel. */

/** `max`: the largest |w|; `mse`: the bound whose codes are nearest to the weights in the mean square. */
export type WeightRange = 'max' | 'mse';

export const WEIGHT_RANGES: readonly WeightRange[] = ['max', 'mse'];

/** Largest code of a symmetric int8 weight. */
const MAX_CODE = 127;

/** Bounds tried, as shares of the largest |w|: 1, 1 - 1/64... A channel of 8 bits never gains from cutting off more. */
const STEPS = 64;
const MIN_SHARE = 0.5;

/** Adds up the squared rounding errors of every channel at a share of the channel's maximum. */
function squaredErrors(
  values: Float32Array,
  channel: (i: number) => number,
  maxima: Float64Array,
  share: number,
): Float64Array {
  const errors = new Float64Array(maxima.length);
  const scales = maxima.map((max) => (max * share) / MAX_CODE);
  for (let i = 0; i < values.length; i++) {
    const c = channel(i);
    const scale = scales[c];
    if (scale === 0) continue;
    const code = Math.min(MAX_CODE, Math.max(-MAX_CODE, Math.round(values[i] / scale)));
    errors[c] += (values[i] - code * scale) ** 2;
  }
  return errors;
}

/**
 * The symmetric bound of each channel with the least squared error of rounding and cutting off.
 *
 * @param channel channel of each flat index of `values`
 * @param maxima largest |w| of each channel
 */
export function leastSquaresBounds(
  values: Float32Array,
  channel: (i: number) => number,
  maxima: Float64Array,
): Float64Array {
  const best = new Float64Array(maxima.length).fill(Number.POSITIVE_INFINITY);
  const bounds = maxima.slice();
  for (let share = 1; share >= MIN_SHARE; share -= 1 / STEPS) {
    squaredErrors(values, channel, maxima, share).forEach((error, c) => {
      if (error >= best[c]) return;
      best[c] = error;
      bounds[c] = maxima[c] * share;
    });
  }
  return bounds;
}
