/**
 * Codes in bytes. Every row starts on a byte; what is left of its last one is 0.
 *
 *   2 bits, 4 codes a byte      v3v3v2v2 v1v1v0v0
 *   3 bits, 8 codes in 3 bytes  a little-endian 24-bit word, v_i at bits 3i..3i+2
 *   4 bits, 2 codes a byte      v1v1v1v1 v0v0v0v0
 */

export type Bits = 2 | 3 | 4;

/** Writes a row of codes at `start`; the bytes there are 0 before. */
export function packRow(bits: Bits, codes: Uint8Array, bytes: Uint8Array, start: number): void {
  for (let i = 0; i < codes.length; i++) {
    const bit = i * bits;
    const byte = start + (bit >> 3);
    const word = codes[i] << (bit & 7);
    bytes[byte] |= word;
    if (word > 0xff) bytes[byte + 1] |= word >> 8;
  }
}

/** Code `index` of the row at `start`. */
export function readCode(bits: Bits, bytes: Uint8Array, start: number, index: number): number {
  const bit = index * bits;
  const byte = start + (bit >> 3);
  const shift = bit & 7;
  const word = shift + bits > 8 ? bytes[byte] | (bytes[byte + 1] << 8) : bytes[byte];
  return (word >> shift) & ((1 << bits) - 1);
}

/** Reads the first `codes.length` codes of the row at `start`. */
export function unpackRow(bits: Bits, bytes: Uint8Array, start: number, codes: Uint8Array): void {
  for (let i = 0; i < codes.length; i++) codes[i] = readCode(bits, bytes, start, i);
}
