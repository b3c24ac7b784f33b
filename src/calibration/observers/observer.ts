import type { Range } from '../../quantization/affine';

/** Watches the values of one tensor over the calibration samples and settles on a range for it. */
export interface Observer {
  /**
   * @param values finite numbers
   * @param bounds the smallest and the largest of them, for who knows them already
   */
  observe(values: Float32Array, bounds?: Range): void;
  /** @returns the range to quantize to; undefined before any value was observed */
  range(): Range | undefined;
}
