import { type TensorSpec, TensorType } from '../../../src/program/program';

/** A tensor of the reference: every value spelled out, one JavaScript number each, row-major. */
export interface ReferenceTensor {
  readonly spec: TensorSpec;
  /** Without unknown dimensions. */
  readonly shape: readonly number[];
  /** Codes or int32 values; floats where the type is float32. */
  readonly values: number[];
  /** What was rounded to the code, in steps of the output and without its zero point; empty where nothing was. */
  readonly unrounded: number[];
}

export function makeTensor(
  spec: TensorSpec,
  shape: readonly number[],
  values: number[],
  unrounded: number[] = [],
): ReferenceTensor {
  return { spec, shape, values, unrounded };
}

export const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** The scale as a program stores it. */
export const scaleOf = (spec: TensorSpec) => Math.fround(spec.scale);

export const isFloat = (spec: TensorSpec) => spec.type === TensorType.Float32;

/** Row-major index of `position` in a tensor of `shape`. */
export function indexOf(shape: readonly number[], position: readonly number[]): number {
  return position.reduce((index, p, axis) => index * shape[axis]! + p, 0);
}

/** Every position of a tensor of `shape`, row-major. */
export function* positions(shape: readonly number[]): Generator<number[]> {
  for (let index = 0; index < sizeOf(shape); ++index) {
    const position: number[] = [];
    let rest = index;
    for (let axis = shape.length - 1; axis >= 0; --axis) {
      position[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    yield position;
  }
}
