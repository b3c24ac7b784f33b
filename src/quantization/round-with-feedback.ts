/** INT8 codes with error feedback: each compensates for earlier errors, as in `formats/error-feedback.ts`. */
import { roundHalfToEven } from './activation';
import type { FilterCodes } from './affine';
import { factorise, type Hessian } from './formats/error-feedback';

const MAX_CODE = 127;

const ROWS = 16;

/** Less than for few bits: errors of 8 bits are small, so rare directions of the data need little damping. */
const DAMPING = 0.001;

/**
 * Rounds the weights of a layer, after moving each one to compensate for the errors of earlier weights in its row.
 *
 * @param values [rows][depth], real weights
 * @param scales real units per step, one per row; not changed
 * @param hessian [depth][depth], mean of x x^T over calibration data, x what a row multiplies
 * @throws LowbitError 'invalid-argument' for a matrix that is not positive semidefinite
 * @see Frantar et al. 2022, "GPTQ"; the formula is at the top of `formats/error-feedback.ts`
 */
export function roundWithFeedback(values: Float32Array, scales: Float32Array, hessian: Hessian): FilterCodes {
  const depth = values.length / scales.length;
  const { unit } = factorise(hessian, depth, DAMPING);
  const codes = new Int8Array(values.length);
  // Some rows together: a row of the factors stays in the cache for all of them.
  for (let first = 0; first < scales.length; first += ROWS) {
    const rows = Math.min(ROWS, scales.length - first);
    const start = first * depth;
    const targets = Float64Array.from(values.subarray(start, start + rows * depth));
    for (let k = 0; k < depth; k++) {
      for (let row = 0; row < rows; row++) {
        const [scale, at] = [scales[first + row], row * depth];
        const code = Math.min(MAX_CODE, Math.max(-MAX_CODE, roundHalfToEven(targets[at + k] / scale)));
        codes[start + at + k] = code;
        const error = values[start + at + k] - code * scale;
        if (error === 0) continue;
        for (let j = k + 1; j < depth; j++) targets[at + j] += error * unit[k * depth + j];
      }
    }
  }
  return { codes, scales };
}
