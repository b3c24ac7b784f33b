/**
 * im2col (Chellapilla et al. 2006): a convolution with a k x k window over c channels,
 * sum over i, j, c of w[i, j, c] x[y + i, x + j, c], is a 1x1 convolution over patches of k * k * c channels.
 *
 * The patches are made by ops of the program: a pad, a strided slice for each position of the window, and a
 * concatenation. Codes are moved unchanged.
 */
import { OpKind, PaddingMode, PadMode, type Window } from '../../../program/program';
import type { ProgramBuilder } from './program-builder';

interface Axis {
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

/**
 * Appends the ops that make the patches of a tensor of codes.
 *
 * @param input id of a tensor [batch, height, width, channels] of known height and width
 * @returns id of the patches, [batch, out height, out width, kernel height * kernel width * channels]
 */
export function appendIm2col(
  builder: ProgramBuilder,
  name: string,
  input: number,
  shape: readonly number[],
  window: Window,
): number {
  const [batch, height, width, channels] = shape;
  const { kernel, strides, dilations = [1, 1] } = window;
  const { rows, columns } = resolveWindow(height, width, window);
  const bordered = appendBorder(builder, name, input, shape, { rows, columns });
  const slices: number[] = [];
  for (let i = 0; i < kernel[0]; i++) {
    for (let j = 0; j < kernel[1]; j++) {
      const output = builder.temporaryLike(input, [batch, rows.out, columns.out, channels]);
      builder.op({
        kind: OpKind.Slice,
        name,
        inputs: [bordered],
        output,
        ranges: [
          { begin: 0, size: -1, stride: 1 },
          { begin: i * dilations[0], size: rows.out, stride: strides[0] },
          { begin: j * dilations[1], size: columns.out, stride: strides[1] },
          { begin: 0, size: -1, stride: 1 },
        ],
      });
      slices.push(output);
    }
  }
  const patches = [batch, rows.out, columns.out, channels * slices.length];
  const output = builder.temporaryLike(input, patches);
  builder.op({ kind: OpKind.Concat, name, inputs: slices, output, axis: 3 });
  return output;
}

function appendBorder(
  builder: ProgramBuilder,
  name: string,
  input: number,
  [batch, height, width, channels]: readonly number[],
  { rows, columns }: { rows: Axis; columns: Axis },
): number {
  if (rows.before + rows.after + columns.before + columns.after === 0) return input;
  const bordered = [
    batch,
    height + rows.before + rows.after,
    width + columns.before + columns.after,
    channels,
  ];
  const output = builder.temporaryLike(input, bordered);
  builder.op({
    kind: OpKind.Pad,
    name,
    inputs: [input],
    output,
    mode: PadMode.Constant,
    code: builder.paramsOf(input).zeroPoint,
    paddings: [
      [0, 0],
      [rows.before, rows.after],
      [columns.before, columns.after],
      [0, 0],
    ],
  });
  return output;
}
