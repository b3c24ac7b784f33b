/** Writes and reads the 32-bit words of an encoded program. */
import { LowbitError } from '../base/errors';

const scratch = new DataView(new ArrayBuffer(4));

export class WordWriter {
  readonly words: number[] = [];

  int(value: number): void {
    this.words.push(value | 0);
  }

  bool(value: boolean): void {
    this.words.push(Number(value));
  }

  /** A float32 by its bits. */
  float(value: number): void {
    scratch.setFloat32(0, value, true);
    this.words.push(scratch.getInt32(0, true));
  }

  /** -1 where there is none. */
  optionalOffset(value: number | undefined): void {
    this.words.push(value ?? -1);
  }

  size([height, width]: readonly [number, number]): void {
    this.words.push(height, width);
  }

  /** A count, and as many words. */
  ints(values: readonly number[]): void {
    this.words.push(values.length, ...values);
  }

  /** The count of its UTF-8 bytes, and these in words filled up with zeros. */
  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    this.words.push(bytes.length);
    for (let i = 0; i < padded.length; i += 4) this.words.push(view.getInt32(i, true));
  }
}

/** Throws LowbitError 'invalid-program' where words end too early. */
export class WordReader {
  private at = 0;

  constructor(private readonly words: Int32Array) {}

  get left(): number {
    return this.words.length - this.at;
  }

  int(): number {
    return this.take(1)[0];
  }

  uint32(): number {
    return this.int() >>> 0;
  }

  bool(): boolean {
    return this.int() !== 0;
  }

  float(): number {
    scratch.setInt32(0, this.int(), true);
    return scratch.getFloat32(0, true);
  }

  optionalOffset(): number | undefined {
    const offset = this.int();
    return offset === -1 ? undefined : offset;
  }

  size(): [height: number, width: number] {
    return [this.int(), this.int()];
  }

  list<T>(read: () => T): T[] {
    return this.times(this.int(), read);
  }

  ints(): number[] {
    return this.list(() => this.int());
  }

  /** So many of something that takes at least a word each. */
  times<T>(count: number, read: () => T): T[] {
    if (count < 0 || count > this.left) throw this.cutShort();
    return Array.from({ length: count }, read);
  }

  text(): string {
    const length = this.int();
    const words = this.take(Math.ceil(length / 4)).slice();
    return new TextDecoder().decode(new Uint8Array(words.buffer, 0, length));
  }

  /** The next words, as a program of their own. */
  part(count: number): WordReader {
    return new WordReader(this.take(count));
  }

  unknown(what: string, number: number): LowbitError {
    return new LowbitError(
      'invalid-program',
      `The program has the ${what} ${number}, which this version does not know.`,
    );
  }

  private take(count: number): Int32Array {
    if (count < 0 || count > this.left) throw this.cutShort();
    this.at += count;
    return this.words.subarray(this.at - count, this.at);
  }

  private cutShort(): LowbitError {
    return new LowbitError('invalid-program', 'The program is cut short.');
  }
}
