/** IEEE 754 binary16 as bits in an integer, which is how scales are stored. */
import { getFloat16, setFloat16 } from '@petamoriken/float16';

/** Largest finite float16. */
export const MAX_FLOAT16 = 65504;

const cell = new DataView(new ArrayBuffer(2));

/** @returns the bits of the nearest float16, ties to even; of an infinity past 65520 */
export function toFloat16Bits(value: number): number {
  setFloat16(cell, 0, value);
  return cell.getUint16(0);
}

export function fromFloat16Bits(bits: number): number {
  cell.setUint16(0, bits);
  return getFloat16(cell, 0);
}
