/** What a plan needs calibration to observe, and what was observed. */
import { refKey } from '../graph/edit';
import type { TensorRef } from '../graph/ir';
import type { Grid } from '../program/program';
import type { Range } from './affine';
import type { Rotation } from './hadamard';

export interface ObservedTensor {
  readonly ref: TensorRef;
  /** Rotates the last axis before the tensor is observed. */
  readonly rotation?: Rotation;
  /** Observes the mean of every channel (the last axis) too; absent: the range alone. */
  readonly means?: boolean;
  /** With `means`: observes their mean squares too. */
  readonly squares?: boolean;
}

/** Key of a tensor's observations: `node:index`, and the rotation if there is one. */
export function observedKey({ ref, rotation }: Pick<ObservedTensor, 'ref' | 'rotation'>): string {
  return rotation ? `${refKey(ref)} rotated by ${rotation.block} from ${rotation.seed}` : refKey(ref);
}

/** By `observedKey`. */
export interface Observations {
  /** The range to quantize each tensor to. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** Mean of every channel over the calibration data. */
  readonly means: ReadonlyMap<string, Float64Array>;
  /** Mean square of every channel, of tensors with `squares`. */
  readonly meanSquares?: ReadonlyMap<string, Float64Array>;
  /** The grid that all values of a tensor lie on, of inputs of the model where there is one. */
  readonly grids?: ReadonlyMap<string, Grid>;
  /** Means in the quantized model, of tensors where that was measured. */
  readonly quantizedMeans?: ReadonlyMap<string, Float64Array>;
}
