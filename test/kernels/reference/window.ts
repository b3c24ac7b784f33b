/** Where a sliding window lies: the arithmetic of TensorFlow's padding modes. */
import { PaddingMode, type Window } from '../../../src/program/program';
import { positions } from './tensor';

/** One spatial axis of a window. */
export interface Axis {
  readonly input: number;
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Padded elements before the first real one. */
  readonly before: number;
}

function makeAxis(
  input: number,
  kernel: number,
  stride: number,
  dilation: number,
  mode: PaddingMode,
  explicit: readonly [before: number, after: number],
): Axis {
  const extent = (kernel - 1) * dilation + 1;
  if (mode === PaddingMode.Same) {
    const output = Math.ceil(input / stride);
    const total = Math.max((output - 1) * stride + extent - input, 0);
    return { input, output, kernel, stride, dilation, before: Math.floor(total / 2) };
  }
  const [before, after] = mode === PaddingMode.Valid ? [0, 0] : explicit;
  const output = Math.floor((input + before + after - extent) / stride) + 1;
  if (output < 1) throw new Error(`kernel of extent ${extent} does not fit ${input} + ${before} + ${after}`);
  return { input, output, kernel, stride, dilation, before };
}

/** Rows and columns of a window over an input of shape [batch, height, width, channels]; kernel [0, 0]: all of it. */
export function windowAxes(
  window: Window,
  [, height, width]: readonly number[],
): [rows: Axis, columns: Axis] {
  const { kernel, strides, padding } = window;
  const [dilationH, dilationW] = window.dilations ?? [1, 1];
  if (kernel[0] === 0 && kernel[1] === 0) {
    return [
      makeAxis(height!, height!, 1, 1, PaddingMode.Valid, [0, 0]),
      makeAxis(width!, width!, 1, 1, PaddingMode.Valid, [0, 0]),
    ];
  }
  const { mode, top = 0, bottom = 0, left = 0, right = 0 } = padding;
  return [
    makeAxis(height!, kernel[0], strides[0], dilationH, mode, [top, bottom]),
    makeAxis(width!, kernel[1], strides[1], dilationW, mode, [left, right]),
  ];
}

/** The real (not padded) taps of the window at `output`: which tap, and the input coordinate it reads. */
export function realTaps(axis: Axis, output: number): { tap: number; at: number }[] {
  const taps: { tap: number; at: number }[] = [];
  for (let tap = 0; tap < axis.kernel; ++tap) {
    const at = output * axis.stride - axis.before + tap * axis.dilation;
    if (at >= 0 && at < axis.input) taps.push({ tap, at });
  }
  return taps;
}

/** Every position of an NHWC tensor, row-major. */
export function* outputPositions(
  shape: readonly number[],
): Generator<{ batch: number; y: number; x: number; channel: number }> {
  for (const [batch = 0, y = 0, x = 0, channel = 0] of positions(shape)) yield { batch, y, x, channel };
}
