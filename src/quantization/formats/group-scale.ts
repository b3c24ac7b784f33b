/**
 * Scales as they are stored: float16 numbers, times one unit of the matrix. None is negative, so that the sign marks
 * small ones: a number with it stands for its magnitude times 2^-30. Scales from 2^15 down to 2^-44 units have all digits
 * of a float16, so that a row of 1e-12 of the largest weight decodes as well as any other.
 */
import { fromFloat16Bits, MAX_FLOAT16, toFloat16Bits } from '../../base/float16';

/** The largest weight is at most 2^15 units: a scale of that size fits float16, and small scales keep its precision. */
const MAX_EXPONENT = 15;

/** Keeps the unit, and what is multiplied by it, a normal float32. */
const MIN_EXPONENT = -125;

/** What a set sign multiplies by. */
const SMALL = 2 ** -30;

const SIGN = 0x8000;

/** The least float16 with all digits. */
const MIN_NORMAL = 2 ** -14;

/** @returns the number behind the bits of a scale; NaN or infinite where they are no scale's */
export function scaleOfBits(bits: number): number {
  if (bits === SIGN) return Number.NaN;
  return bits < SIGN ? fromFloat16Bits(bits) : fromFloat16Bits(bits - SIGN) * SMALL;
}

export class ScaleCoder {
  /** A float32. */
  readonly unit: number;

  /**
   * @param base the unit, but for the power of two that brings the scales into float16's range
   * @param max largest |w| of the matrix
   */
  constructor(base: number, max: number) {
    const exponent = max > 0 ? Math.ceil(Math.log2(max / base)) - MAX_EXPONENT : 0;
    this.unit = Math.fround(base * 2 ** Math.max(exponent, MIN_EXPONENT));
  }

  /** @returns bits of a scale in real units per level */
  encode(scale: number): number {
    const units = scale / this.unit;
    const large = toFloat16Bits(Math.min(units, MAX_FLOAT16));
    if (units >= MIN_NORMAL) return large;
    const small = toFloat16Bits(Math.min(units / SMALL, MAX_FLOAT16));
    return small === 0 ? 0 : SIGN + small;
  }

  /** Real units per level: what a kernel multiplies by. */
  step(bits: number): number {
    return Math.fround(scaleOfBits(bits) * this.unit);
  }
}
