/** The float32 steps of the numerics contract. `Math.fround` after every operation is one float32 rounding. */
import type { Activation, TensorSpec } from '../../../src/program/program';
import { isFloat, makeTensor, type ReferenceTensor, scaleOf, sizeOf } from './tensor';

const fround = Math.fround;

/** To the nearest integer, ties to the even one. */
export function roundHalfToEven(x: number): number {
  const up = Math.round(x);
  return Math.abs(x % 1) === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

/** NaN ends at `low`. */
export const clamp = (x: number, low: number, high: number) => (x > low ? (x < high ? x : high) : low);

/** round(value) + zeroPoint in [codeMin, codeMax], clamped before it is rounded. */
export function toCode(value: number, zeroPoint: number, codeMin = -128, codeMax = 127): number {
  return roundHalfToEven(clamp(value, codeMin - zeroPoint, codeMax - zeroPoint)) + zeroPoint;
}

/** Where the result of an op goes before its table: the table's input if it has one, else the output tensor. */
export function storeScale(spec: TensorSpec, activation: Activation): number {
  return activation.tableOffset === undefined ? scaleOf(spec) : fround(activation.preScale ?? 1);
}

/**
 * Builds the output of an op from float32 values in steps of `storeScale`, or in real units for a float32 output.
 *
 * @param valueAt the value of output element `index`, a float32
 */
export function store(
  spec: TensorSpec,
  shape: readonly number[],
  activation: Activation,
  weights: Int8Array,
  valueAt: (index: number) => number,
): ReferenceTensor {
  const real = Array.from({ length: sizeOf(shape) }, (_, index) => valueAt(index));
  const { codeMin, codeMax, tableOffset, preZeroPoint = 0 } = activation;
  if (isFloat(spec)) {
    const floatMin = fround(activation.floatMin ?? Number.NEGATIVE_INFINITY);
    const floatMax = fround(activation.floatMax ?? Number.POSITIVE_INFINITY);
    return makeTensor(
      spec,
      shape,
      real.map((value) => clamp(value, floatMin, floatMax)),
    );
  }
  const codes =
    tableOffset === undefined
      ? real.map((value) => toCode(value, spec.zeroPoint, codeMin, codeMax))
      : real.map((value) => weights[tableOffset + 128 + toCode(value, preZeroPoint, codeMin, codeMax)]!);
  return makeTensor(spec, shape, codes, real);
}
