/** INT8 codes with error feedback: each compensates for earlier errors, as in `formats/error-feedback.ts`. */
import { roundHalfToEven } from './activation';
import type { FilterCodes } from './affine';
import { factorise } from './formats/error-feedback';

const MAX_CODE = 127;

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
export function roundWithFeedback(
  values: Float32Array,
  scales: Float32Array,
  hessian: Float64Array,
): FilterCodes {
  const depth = values.length / scales.length;
  const { unit } = factorise(hessian, depth, DAMPING);
  const codes = new Int8Array(values.length);
  const targets = new Float64Array(depth);
  scales.forEach((scale, row) => {
    const start = row * depth;
    targets.set(values.subarray(start, start + depth));
    for (let k = 0; k < depth; k++) {
      const code = Math.min(MAX_CODE, Math.max(-MAX_CODE, roundHalfToEven(targets[k] / scale)));
      codes[start + k] = code;
      const error = values[start + k] - code * scale;
      if (error === 0) continue;
      const at = k * depth;
      for (let j = k + 1; j < depth; j++) targets[j] += error * unit[at + j];
    }
  });
  return { codes, scales };
}
