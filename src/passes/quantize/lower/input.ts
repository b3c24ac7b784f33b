/** The float32 inputs of a region, and their codes. */

import type { TensorRef } from '../../../graph/ir';
import { type Grid, OpKind } from '../../../program/program';
import { appendAffineOp } from './float-functions';
import { gridOffset } from './grid-offset';
import type { ProgramBuilder } from './program-builder';

/**
 * Appends codes that are exact for values on a grid, first + i * step: real value = (code - zero point) * scale + c, where
 * the offset c brings one of the values to 0.
 */
function appendGridCodes(builder: ProgramBuilder, ref: TensorRef, float: number, grid: Grid): void {
  const { first, step } = grid;
  const zeroPoint = Math.round(-first / step) - 128;
  const codes = builder.result(ref, { scale: Math.fround(step), zeroPoint });
  const offset = gridOffset(grid);
  let input = float;
  if (offset !== 0) {
    builder.setOffset(ref, offset);
    input = builder.temporaryLike(float, builder.shape(ref));
    const shift = { factor: Float32Array.of(1), summand: Float32Array.of(-offset) };
    appendAffineOp(builder, ref.node, float, input, shift);
  }
  builder.op({ kind: OpKind.Quantize, name: ref.node, inputs: [input], output: codes });
}

/**
 * Declares an input of the region.
 *
 * @param asCodes its codes are read too; else only its rotated codes, or its float32 values
 * @param grid that its values lie on, where everything that reads its codes corrects for their offset
 */
export function appendInput(builder: ProgramBuilder, ref: TensorRef, asCodes: boolean, grid?: Grid): void {
  const float = builder.input(ref);
  if (!asCodes) return;
  if (grid) appendGridCodes(builder, ref, float, grid);
  else builder.read(ref);
}
