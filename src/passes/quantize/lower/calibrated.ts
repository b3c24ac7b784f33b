/** What calibration knows of the tensors of a region, by the tensor's name in the graph. */

import { refKey } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import type { AffineParams } from '../../../program/affine-params';
import type { Grid } from '../../../program/program';
import { chooseAffine, chooseSymmetric, type Range } from '../../../quantization/affine';
import type { Rotation } from '../../../quantization/hadamard';
import { type Observations, observedKey } from '../../../quantization/observations';

export class Calibrated {
  /**
   * @param sharedRanges tensors, by key, that take the range of another one
   */
  constructor(
    private readonly observations: Observations,
    private readonly sharedRanges: ReadonlyMap<string, TensorRef>,
  ) {}

  range(ref: TensorRef): Range {
    return this.observations.ranges.get(refKey(this.sharedRanges.get(refKey(ref)) ?? ref))!;
  }

  /** Scale and zero point of a tensor's codes. */
  params(ref: TensorRef): AffineParams {
    return chooseAffine(this.range(ref));
  }

  /** Scale and zero point of the codes of a rotated tensor. */
  rotatedParams(ref: TensorRef, rotation: Rotation): AffineParams {
    const { min, max } = this.observations.ranges.get(observedKey({ ref, rotation }))!;
    return chooseSymmetric(Math.max(-min, max));
  }

  /** The grid that all values of a tensor lie on, if there is one. */
  grid(ref: TensorRef): Grid | undefined {
    return this.observations.grids?.get(refKey(ref));
  }

  /** Mean of every channel over the calibration data, if it was observed. */
  means(ref: TensorRef): Float64Array | undefined {
    return this.observations.means.get(refKey(ref));
  }

  /** The same in the quantized model, if it was measured there. */
  quantizedMeans(ref: TensorRef): Float64Array | undefined {
    return this.observations.quantizedMeans?.get(refKey(ref));
  }
}
