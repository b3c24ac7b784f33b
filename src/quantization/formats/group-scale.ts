/** Scales as they are stored: float16 numbers, times one unit of the matrix. */
import { fromFloat16Bits, MAX_FLOAT16, toFloat16Bits } from '../float16';

/** The largest weight is at most 2^15 units: a scale of that size fits float16, and small scales keep its precision. */
const MAX_EXPONENT = 15;

/** Keeps the unit, and what is multiplied by it, a normal float32. */
const MIN_EXPONENT = -125;

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

  /** @returns bits of the float16 for a scale in real units per level */
  encode(scale: number): number {
    return toFloat16Bits(Math.min(scale / this.unit, MAX_FLOAT16));
  }

  /** Real units per level: what a kernel multiplies by. */
  step(bits: number): number {
    return Math.fround(fromFloat16Bits(bits) * this.unit);
  }
}
