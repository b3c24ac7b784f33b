/** The float32 inputs of a region, and their codes. */

import type { TensorRef } from '../../../graph/ir';
import { type Grid, OpKind } from '../../../program/program';
import { appendAffineOp } from './float-functions';
import type { ProgramBuilder } from './program-builder';

/** Of a step of a grid: what float32 makes of its values. */
const GRID_TOLERANCE = 1e-3;

/**
 * Appends codes that are exact for values on a grid, first + i * step.
 *
 * A zero point is an integer, but zero may lie between two values of the grid: -1..1 in 255 steps has no value at 0. So
 * the values are shifted by the constant c that brings one of them to 0: real value = (code - zero point) * scale + c.
 */
function appendGridCodes(
  builder: ProgramBuilder,
  ref: TensorRef,
  float: number,
  { first, step }: Grid,
): void {
  const zero = Math.round(-first / step);
  const offset = first + zero * step;
  const codes = builder.result(ref, { scale: Math.fround(step), zeroPoint: zero - 128 });
  let input = float;
  if (Math.abs(offset) >= GRID_TOLERANCE * step) {
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
