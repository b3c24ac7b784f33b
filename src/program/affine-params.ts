/** Affine INT8 parameters of a tensor: real value = (code - zeroPoint) * scale. */
export interface AffineParams {
  /** Real units per step, greater than 0. */
  readonly scale: number;
  /** Integer in [-128, 127]. */
  readonly zeroPoint: number;
}
