/** What calibration knows of the tensors of a region, by the tensor's name in the graph. */

import { LowbitError } from '../../../base/errors';
import { refKey } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import type { AffineParams } from '../../../program/affine-params';
import type { Grid } from '../../../program/program';
import { chooseAffine, chooseSymmetric, type Range } from '../../../quantization/affine';
import type { Rotation } from '../../../quantization/hadamard';
import { type Observations, observedKey } from '../../../quantization/observations';

function known(range: Range | undefined, node: string): Range {
  if (range) return range;
  throw new LowbitError('internal', `The range of '${node}' was not observed.`);
}

export class Calibrated {
  /**
   * @param sharedRanges tensors, by key, that take the range of another one
   * @param derived the range of a tensor that was not observed, if it follows from those that were
   */
  constructor(
    private readonly observations: Observations,
    private readonly sharedRanges: ReadonlyMap<string, TensorRef>,
    private readonly derived: (ref: TensorRef) => Range | undefined = () => undefined,
  ) {}

  /** @throws LowbitError 'internal' for a tensor whose range is not known */
  range(ref: TensorRef): Range {
    const shared = this.sharedRanges.get(refKey(ref)) ?? ref;
    return known(this.observations.ranges.get(refKey(shared)) ?? this.derived(shared), shared.node);
  }

  /** Scale and zero point of a tensor's codes. */
  params(ref: TensorRef): AffineParams {
    return chooseAffine(this.range(ref));
  }

  /** Scale and zero point of the codes of a rotated tensor. */
  rotatedParams(ref: TensorRef, rotation: Rotation): AffineParams {
    const { min, max } = known(this.observations.ranges.get(observedKey({ ref, rotation })), ref.node);
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
