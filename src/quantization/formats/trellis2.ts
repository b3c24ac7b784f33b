/**
 * A bit-shift trellis: 2 bits a weight choose one of 16 levels, together with the 2 bits of the weight four before it. So
 * a weight has four levels to choose from, and which four its predecessor chose for it; a search over the whole row
 * (`Viterbi`) makes the best of it. Error 0.0897 of the variance of a Gaussian, where the best four levels have 0.1175
 * and no code of 2 bits can have less than 0.0625.
 *
 * Marcellin and Fischer 1990, Trellis coded quantization; Tseng et al. 2024, QTIP.
 */
import { WeightFormat } from '../../program/program';
import type { Format } from './format';

export const trellis2: Format = {
  name: 'trellis2',
  storage: WeightFormat.Trellis2,
  bits: 2,
  /**
   * Trained by scripts/train-trellis.js. At most 15 in magnitude, so that int16 holds the sum of eight products with
   * unsigned bytes; that costs 0.0002 against levels that are real numbers.
   */
  levels: [7, -10, -4, 2, 15, 3, -15, -3, -8, -3, 1, 8, -1, 11, 5, -8],
};

/** Levels that make a standard deviation of a Gaussian source at the scale of the least error. */
export const LEVELS_A_DEVIATION = 7.14;
