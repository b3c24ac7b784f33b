/** Two's complement of 4 bits, what most tools call INT4: levels -8..7, zero among them. */
import { WeightFormat } from '../../program/program';
import type { Format } from './format';

export const int4: Format = {
  name: 'int4',
  storage: WeightFormat.Codebook4,
  bits: 4,
  levels: Array.from({ length: 16 }, (_, code) => code - 8),
};
