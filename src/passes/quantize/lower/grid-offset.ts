/**
 * The offset of a grid of values: a zero point is an integer, but zero may lie between two values of the grid: -1..1 in 255
 * steps has no value at 0. The codes then stand for values shifted by a constant c, and what lies around an image, the code
 * of zero, stands for c.
 */
import { output } from '../../../graph/edit';
import type { Shape } from '../../../graph/infer-shapes';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import type { Grid } from '../../../program/program';
import { linearKind } from '../../linear-op';
import { tapShares, windowOf } from './window';

/** Of a step of a grid: what float32 makes of its values. */
const GRID_TOLERANCE = 1e-3;

/** The value of a grid that is nearest to zero; 0 where it is that but for rounding. */
export function gridOffset({ first, step }: Grid): number {
  const offset = first + Math.round(-first / step) * step;
  return Math.abs(offset) >= GRID_TOLERANCE * step ? offset : 0;
}

/**
 * The share of the products of a layer that are with padding.
 *
 * @param filter shape of its weights
 */
function paddedShare(
  node: GraphNode,
  [height, width]: readonly number[],
  shapeOf: (ref: TensorRef) => Shape | undefined,
): number {
  if (linearKind(node) === 'matmul') return 0;
  const window = windowOf(node, [height, width]);
  const [from, to] = [shapeOf(node.inputs[0]), shapeOf(output(node.name))];
  if (typeof window === 'string' || !from || !to) return 0;
  const shares = tapShares(window, from, to);
  return 1 - shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/**
 * Whether a layer that reads the exact codes of a grid is nearer to the float model than with codes in which zero is exact
 * and all else is rounded, by up to half a step: an error of c^2 for each product with padding, against step^2 / 12 for
 * each product.
 */
export function gainsByGrid(grid: Grid, ...layer: Parameters<typeof paddedShare>): boolean {
  return paddedShare(...layer) * gridOffset(grid) ** 2 <= grid.step ** 2 / 12;
}
