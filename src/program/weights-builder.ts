/** Collects the weights of a program: appends typed arrays 4-aligned and hands out their byte offsets. */
export class WeightsBuilder {
  private readonly parts: { offset: number; bytes: Uint8Array }[] = [];
  private size = 0;

  /** @returns the byte offset of the appended data */
  append(data: Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Float32Array): number {
    const offset = this.size;
    this.parts.push({ offset, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    this.size = offset + Math.ceil(data.byteLength / 4) * 4;
    return offset;
  }

  build(): Int32Array {
    const bytes = new Uint8Array(this.size);
    for (const part of this.parts) bytes.set(part.bytes, part.offset);
    return new Int32Array(bytes.buffer);
  }
}
