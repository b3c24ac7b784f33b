/** INT8 codes that make up for the errors of those before them, as `formats/error-feedback.ts` does for fewer bits. */
import { roundHalfToEven } from './activation';
import type { FilterCodes } from './affine';
import { factorise } from './formats/error-feedback';

const MAX_CODE = 127;

/** Errors of 8 bits are small: what is made up for along directions that calibration data hardly has is small too. */
const DAMPING = 0.001;

/**
 * Rounds the weights of a layer, each moved first by what those before it in its row got wrong.
 *
 * @param values [rows][depth], real weights
 * @param scales real units per step, one a row; they stay as they are
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
