import type { Range } from '../quantization/affine';
import { boundsOf } from './observers/bounds';

/**
 * Infinities stand for "below all" or "above all", in a mask or a padding, and set no range: they are counted as the
 * smallest and the largest of the other values.
 */
export function withoutInfinities(values: Float32Array, bounds: Range = boundsOf(values)): Float32Array {
  if (bounds.max < Number.POSITIVE_INFINITY && bounds.min > Number.NEGATIVE_INFINITY) return values;
  const { min, max } = boundsOf(values.filter(Number.isFinite));
  if (min > max) return new Float32Array(values.length);
  return values.map((v) => (v === Number.POSITIVE_INFINITY ? max : v === Number.NEGATIVE_INFINITY ? min : v));
}
