/**
 * Pi-quantization: w = q * alpha * pi / k with q in [-2^(b-1), 2^(b-1) - 1] and k in {2, 3, 4, 5}; code q + 2^(b-1).
 *
 * As alpha is free, so is the step alpha * pi / k: these are the uniform grids {-2..1} and {-4..3}, and neither pi nor k
 * changes what they can express. k is kept because files and papers name it. Alpha has the least squared error.
 */
import { checkArgument } from '../../base/errors';
import { WeightFormat } from '../../program/program';
import type { Format } from './format';

function lopsided(bits: number): number[] {
  return Array.from({ length: 2 ** bits }, (_, code) => code - 2 ** (bits - 1));
}

export const pi2: Format = { name: 'pi2', storage: WeightFormat.Codebook2, bits: 2, levels: lopsided(2) };

export const pi3: Format = { name: 'pi3', storage: WeightFormat.Codebook3, bits: 3, levels: lopsided(3) };

const DIVISORS: readonly number[] = [2, 3, 4, 5];

/** k where none is given: 3 at 2 bits, 4 at 3. */
const DEFAULT_DIVISOR: ReadonlyMap<Format, number> = new Map([
  [pi2, 3],
  [pi3, 4],
]);

/** Whether a format's step is counted in pi / k. */
export function isPi(format: Format): boolean {
  return DEFAULT_DIVISOR.has(format);
}

/**
 * The step at alpha = 1.
 *
 * @param k divisor of pi; the format's own if undefined
 * @throws LowbitError 'invalid-argument' for a k other than 2, 3, 4 and 5
 */
export function piStep(format: Format, k = DEFAULT_DIVISOR.get(format)): number {
  checkArgument(k !== undefined && DIVISORS.includes(k), 'k', '2, 3, 4 or 5', k);
  return Math.PI / k;
}
