import { intsAttr, stringAttr } from '../../graph/attrs';
import type { GraphNode } from '../../graph/ir';
import { type Padding, PaddingMode, type Window } from '../../runtime/program';

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
