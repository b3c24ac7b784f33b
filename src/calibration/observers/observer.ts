import type { Range } from '../../quantization/affine';

/** Watches the values of one tensor over the calibration samples and settles on a range for it. */
export interface Observer {
  observe(values: Float32Array): void;
  /** @returns the range to quantize to; undefined before any value was observed */
  range(): Range | undefined;
}
