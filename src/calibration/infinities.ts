/**
 * Infinities stand for "below all" or "above all", in a mask or a padding, and set no range: they are counted as the
 * smallest and the largest of the other values.
 */
export function withoutInfinities(values: Float32Array): Float32Array {
  let [min, max, infinite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, false];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) infinite = true;
    else if (value < min) min = value;
    if (value > max && value !== Number.POSITIVE_INFINITY) max = value;
  }
  if (!infinite) return values;
  if (min > max) return new Float32Array(values.length);
  return values.map((v) => (v === Number.POSITIVE_INFINITY ? max : v === Number.NEGATIVE_INFINITY ? min : v));
}
