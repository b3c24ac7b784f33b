import { LowbitError } from '../base/errors';

/** Offsets are int32. */
const MAX_BYTES = 2 ** 31 - 1;

/** Bytes at their offset, which is a multiple of four. */
export interface WeightPart {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Collects the weights of a program: appends typed arrays 4-aligned and hands out their byte offsets. */
export class WeightsBuilder {
  /** What was appended, in order. */
  readonly parts: WeightPart[] = [];
  private size = 0;

  get byteLength(): number {
    return this.size;
  }

  /** @returns the byte offset of the appended data */
  append(data: Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Float32Array): number {
    const offset = this.size;
    if (offset + data.byteLength > MAX_BYTES) {
      throw new LowbitError(
        'invalid-weights',
        `The weights of one region reach ${offset + data.byteLength} bytes, but offsets into them are 32-bit integers, at ` +
          `most ${MAX_BYTES}. Leave some layers out of the quantization, or quantize them to fewer bits.`,
      );
    }
    this.parts.push({ offset, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
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
