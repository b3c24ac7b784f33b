/** How an op stores its result: as codes or float32, with the pointwise function that is fused into the store. */

import type { TensorRef } from '../../../graph/ir';
import { type Activation, OpKind } from '../../../program/program';
import {
  type Bounds,
  boundsOfBoth,
  clampCodes,
  lookupTable,
  UNBOUNDED,
} from '../../../quantization/activation';
import { chooseAffine, type Range } from '../../../quantization/affine';
import type { ProgramBuilder } from './program-builder';

export interface Store {
  readonly result: TensorRef;
  readonly fused?: {
    /** The function's argument. The codes that index the table cover its range. */
    readonly before: TensorRef;
    readonly f: (x: number) => number;
    readonly clamp?: Bounds;
  };
  /** The result is stored as float32. */
  readonly float: boolean;
}

const SATURATION_STEPS = 1024;

/** Drops the ends of a range on which f is constant: codes spent there would all look up the same result. */
export function withoutSaturation(f: (x: number) => number, { min, max }: Range): Range {
  const at = (i: number) => min + ((max - min) * i) / SATURATION_STEPS;
  let first = 0;
  let last = SATURATION_STEPS;
  while (first < last && f(at(first + 1)) === f(min)) first++;
  while (last > first && f(at(last - 1)) === f(max)) last--;
  return { min: at(first), max: at(last) };
}

/**
 * Declares the tensor that an op stores.
 *
 * @param own bounds that the op itself clamps to
 * @returns its id, and the activation on the way to it
 */
export function storeResult(
  builder: ProgramBuilder,
  { fused, result, float }: Store,
  own: Bounds = UNBOUNDED,
): { output: number; activation: Activation } {
  const bounds = fused?.clamp ? boundsOfBoth(own, fused.clamp) : own;
  if (float) {
    return { output: builder.floatResult(result), activation: { floatMin: bounds[0], floatMax: bounds[1] } };
  }
  const params = builder.calibrated.params(result);
  const output = builder.result(result);
  if (!fused || fused.clamp) return { output, activation: clampCodes(bounds, params) };
  const before = chooseAffine(withoutSaturation(fused.f, builder.calibrated.range(fused.before)));
  return {
    output,
    activation: {
      ...clampCodes(own, before),
      tableOffset: builder.weights.append(lookupTable(fused.f, before, params)),
      preScale: before.scale,
      preZeroPoint: before.zeroPoint,
    },
  };
}

/** Appends a table: f of one tensor's codes as another's. */
export function appendLookup(
  builder: ProgramBuilder,
  from: TensorRef,
  to: TensorRef,
  f: (x: number) => number,
): void {
  const input = builder.read(from);
  const table = lookupTable(f, builder.paramsOf(input), builder.calibrated.params(to));
  const tableOffset = builder.weights.append(table);
  builder.op({
    kind: OpKind.Lookup,
    name: to.node,
    inputs: [input],
    output: builder.result(to),
    tableOffset,
  });
}
