/** TensorFlow's channels-last order against ONNX's channels-first one. */

/** Where each axis of a channels-first tensor lies in the channels-last one. */
export const TO_CHANNELS_FIRST = [0, 3, 1, 2] as const;
export const TO_CHANNELS_LAST = [0, 2, 3, 1] as const;

/** The axis of a tensor of rank 4 that was axis `axis` with channels last; other ranks keep their order. */
export function axisOf(axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  return rank === 4 ? TO_CHANNELS_FIRST.indexOf(positive as 0) : positive;
}

/** Sorts what there is one of per axis. */
export function permute<T>(perAxis: readonly T[], order: readonly number[]): T[] {
  return order.map((axis) => perAxis[axis]);
}

/** Moves the axes of a dense row-major tensor: axis i of the result is axis order[i] of the source. */
export function transpose<T extends Float32Array | Int8Array>(
  values: T,
  shape: readonly number[],
  order: readonly number[],
): T {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, d) => product * d, 1));
  const sizes = permute(shape, order);
  const steps = permute(strides, order);
  const result = values.slice() as T;
  const index = sizes.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = values[from];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < sizes[axis]) break;
      from -= steps[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
  return result;
}
