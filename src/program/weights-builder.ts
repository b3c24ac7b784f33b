import { LowbitError } from '../base/errors';

/** Offsets are int32. */
const MAX_BYTES = 2 ** 31 - 1;

/** Bytes at their offset, which is a multiple of four. */
export interface WeightPart {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** FNV-1a of as many bytes as tell most arrays of one length apart. */
function hashOf(bytes: Uint8Array): number {
  const step = Math.max(1, Math.floor(bytes.length / 256));
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i += step) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash;
}

/**
 * Collects the weights of a program: appends typed arrays 4-aligned and hands out their byte offsets. What several ops
 * have in common is stored once.
 */
export class WeightsBuilder {
  /** What was appended, in order. */
  readonly parts: WeightPart[] = [];
  /** By length and hash. */
  private readonly alike = new Map<string, WeightPart[]>();
  private size = 0;

  get byteLength(): number {
    return this.size;
  }

  /** @returns the byte offset of the data */
  append(data: Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Float32Array): number {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const key = `${bytes.length} ${hashOf(bytes)}`;
    const alike = this.alike.get(key) ?? [];
    const same = alike.find((part) => part.bytes.every((byte, i) => byte === bytes[i]));
    if (same) return same.offset;
    const offset = this.size;
    if (offset + data.byteLength > MAX_BYTES) {
      throw new LowbitError(
        'invalid-weights',
        `The weights of one region reach ${offset + data.byteLength} bytes, but offsets into them are 32-bit integers, at ` +
          `most ${MAX_BYTES}. Leave some layers out of the quantization, or quantize them to fewer bits.`,
      );
    }
    const part = { offset, bytes };
    this.parts.push(part);
    this.alike.set(key, [...alike, part]);
    this.size = offset + Math.ceil(data.byteLength / 4) * 4;
    return offset;
  }

  /** A copy of all parts, with zeros between them. */
  build(): Int32Array {
    const bytes = new Uint8Array(this.size);
    for (const part of this.parts) bytes.set(part.bytes, part.offset);
    return new Int32Array(bytes.buffer);
  }
}
