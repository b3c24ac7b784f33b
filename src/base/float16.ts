/** IEEE 754 binary16 as bits in an integer, which is how scales are stored. */

/** Largest finite float16. */
export const MAX_FLOAT16 = 65504;

const INFINITY = 0x7c00;
const NAN = 0x7e00;
/** The smallest normal number is 2^-14, the smallest of all 2^-24; a fraction has 10 bits. */
const MIN_NORMAL = 2 ** -14;
const SUBNORMAL_STEP = 2 ** -24;

const cell = new DataView(new ArrayBuffer(8));

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** @returns the bits of the nearest float16, ties to even; of an infinity from 65520 on */
export function toFloat16Bits(value: number): number {
  if (Number.isNaN(value)) return NAN;
  cell.setFloat64(0, value);
  const high = cell.getUint32(0);
  const sign = (high >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (size >= 65520) return sign | INFINITY;
  // Divisions by powers of two are exact. A fraction that is rounded up to 2 carries into the exponent, as it should.
  if (size < MIN_NORMAL) return sign | roundHalfToEven(size / SUBNORMAL_STEP);
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  return sign | ((exponent + 14) * 1024 + roundHalfToEven(size / 2 ** (exponent - 10)));
}

export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * SUBNORMAL_STEP;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
