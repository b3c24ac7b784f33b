import { intsAttr, stringAttr } from '../../../graph/attrs';
import type { GraphNode } from '../../../graph/ir';
import { type Padding, PaddingMode, type Window } from '../../../program/program';

function paddingOf(node: GraphNode): Padding | undefined {
  switch (stringAttr(node, 'padding')?.toUpperCase()) {
    case 'SAME':
      return { mode: PaddingMode.Same };
    case 'VALID':
      return { mode: PaddingMode.Valid };
    case 'EXPLICIT': {
      const [, , top, bottom, left, right] = intsAttr(node, 'explicit_paddings');
      return { mode: PaddingMode.Explicit, top, bottom, left, right };
    }
    default:
      return undefined;
  }
}

/** The sliding window of a convolution or a pool; or why the program has none like it. */
export function windowOf(node: GraphNode, kernel: readonly [height: number, width: number]): Window | string {
  const strides = intsAttr(node, 'strides');
  const dilations = intsAttr(node, 'dilations');
  const padding = paddingOf(node);
  if (!padding) return `its padding '${stringAttr(node, 'padding')}' is not known`;
  if (strides.length !== 4 || strides[0] !== 1 || strides[3] !== 1)
    return 'it strides over the batch or the channels';
  if (dilations.some((d) => d < 1) || strides.some((s) => s < 1))
    return 'its strides or dilations are not positive';
  return {
    kernel,
    strides: [strides[1], strides[2]],
    dilations: [dilations[1] ?? 1, dilations[2] ?? 1],
    padding,
  };
}

/** The share of the outputs along one axis for which each tap lies within the input. */
function sharesAlong(
  [input, outputs]: readonly [number, number],
  kernel: number,
  stride: number,
  dilation: number,
  before: number | undefined,
): number[] {
  if (input < 1 || outputs < 1) return new Array<number>(kernel).fill(1);
  const needed = Math.max(0, (outputs - 1) * stride + (kernel - 1) * dilation + 1 - input);
  const padding = before ?? Math.floor(needed / 2);
  return Array.from({ length: kernel }, (_, tap) => {
    let inside = 0;
    for (let o = 0; o < outputs; o++) {
      const at = o * stride - padding + tap * dilation;
      if (at >= 0 && at < input) inside++;
    }
    return inside / outputs;
  });
}

/**
 * The share of the outputs for which each tap of a window lies within the input, row by row: 1 but at borders.
 *
 * @param input shape [batch, height, width, channels], and that of the
 * @param result
 */
export function tapShares(window: Window, input: readonly number[], result: readonly number[]): number[] {
  const { kernel, strides, dilations = [1, 1], padding } = window;
  // Half of what SAME needs comes before; the others have it in their fields, VALID as 0.
  const given = padding.mode === PaddingMode.Same ? undefined : [padding.top ?? 0, padding.left ?? 0];
  const [rows, columns] = [0, 1].map((axis) =>
    sharesAlong(
      [input[axis + 1], result[axis + 1]],
      kernel[axis],
      strides[axis],
      dilations[axis],
      given?.[axis],
    ),
  );
  return rows.flatMap((row) => columns.map((column) => row * column));
}
