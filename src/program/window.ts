/** Where the windows of a convolution or a pool lie on their input. */
import { PaddingMode, type Window } from './program';

export interface Axis {
  readonly before: number;
  readonly after: number;
  readonly out: number;
}

/** The border of an axis and how many windows fit on it. */
function resolve(
  size: number,
  { kernel, stride, dilation }: { kernel: number; stride: number; dilation: number },
  mode: PaddingMode,
  [before, after]: readonly [number, number],
): Axis {
  const extent = (kernel - 1) * dilation + 1;
  if (mode === PaddingMode.Same) {
    const out = Math.ceil(size / stride);
    const total = Math.max((out - 1) * stride + extent - size, 0);
    return { before: Math.floor(total / 2), after: Math.ceil(total / 2), out };
  }
  const [top, bottom] = mode === PaddingMode.Explicit ? [before, after] : [0, 0];
  return { before: top, after: bottom, out: Math.floor((size + top + bottom - extent) / stride) + 1 };
}

/** The border and the number of windows along height and width. */
export function resolveWindow(height: number, width: number, window: Window): { rows: Axis; columns: Axis } {
  const { kernel, strides, dilations = [1, 1], padding } = window;
  const { mode, top = 0, bottom = 0, left = 0, right = 0 } = padding;
  const along = (axis: 0 | 1) => ({ kernel: kernel[axis], stride: strides[axis], dilation: dilations[axis] });
  return {
    rows: resolve(height, along(0), mode, [top, bottom]),
    columns: resolve(width, along(1), mode, [left, right]),
  };
}
