import type { Range } from '../../quantization/affine';

/** The smallest and the largest of some numbers, NaN left out; infinite, minimum above maximum, where there are none. */
export function boundsOf(values: Float32Array): Range {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}
