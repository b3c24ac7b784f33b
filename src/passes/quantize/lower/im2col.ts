/**
 * im2col (Chellapilla et al. 2006): a convolution with a k x k window over c channels,
 * sum over i, j, c of w[i, j, c] x[y + i, x + j, c], is a 1x1 convolution over patches of k * k * c channels.
 *
 * The patches are made by ops of the program: a pad, a strided slice for each position of the window, and a
 * concatenation. Codes are moved unchanged.
 */
import { OpKind, PadMode, type Window } from '../../../program/program';
import { type Axis, resolveWindow } from '../../../program/window';
import type { ProgramBuilder } from './program-builder';

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
