/**
 * A bit-shift trellis: the 2 bits of a weight, together with the 2 bits of the weight four places earlier, select one
 * of 16 levels. So each weight has four levels, and the weight four places earlier selects which four. `Viterbi`
 * searches the whole row for the codes with the least error: 0.0897 of the variance of a Gaussian. The best four fixed
 * levels have 0.1175, and no 2-bit code can have less than 0.0625.
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
   * unsigned bytes. Real-valued levels would have an error lower by 0.0002.
   */
  levels: [7, -10, -4, 2, 15, 3, -15, -3, -8, -3, 1, 8, -1, 11, 5, -8],
};

/** Levels that make a standard deviation of a Gaussian source at the scale of the least error. */
export const LEVELS_A_DEVIATION = 7.14;
