/** Weights that stay in their file until they are used. */
import type { Constant } from './ir';

/** Codes of a weight that a model stores as uint8 or uint16, and what they stand for: code * scale + min. */
export interface StoredForm {
  readonly quantization: { readonly dtype: 'uint8' | 'uint16'; readonly scale: number; readonly min: number };
  /** Of the codes. */
  readonly length: number;
  bytes(): Uint8Array;
}

const forms = new WeakMap<Constant, StoredForm>();

/** How a constant was stored, of one that is still as it was read, in fewer bits than its values have. */
export function storedForm(constant: Constant): StoredForm | undefined {
  return forms.get(constant);
}

export function rememberForm(constant: Constant, form: StoredForm): void {
  forms.set(constant, form);
  if (form.quantization.dtype === 'uint8') fromBytes.add(constant);
}

/** Constants that were stored in 8 bits, and those that are computed from one. */
const fromBytes = new WeakSet<Constant>();

/** Whether a constant has no more information than 8 bits a value, and known factors. */
export function cameFromBytes(constant: Constant): boolean {
  return fromBytes.has(constant);
}

/** Weights from this size on stay in their file. */
export const STORED_BYTES = 64 * 1024;

/** How much of them is kept in memory: passes look at a weight several times in a row. */
const KEPT_BYTES = 16 * 1024 * 1024;

type Values = Constant['values'];

/** The most recently used weights. */
class Recent {
  private readonly entries = new Map<object, Values>();
  private bytes = 0;

  /** Those that are kept, without using them. */
  peek(key: object): Values | undefined {
    return this.entries.get(key);
  }

  get(key: object, load: () => Values): Values {
    const values = this.entries.get(key) ?? load();
    if (values.byteLength > KEPT_BYTES) return values;
    if (this.entries.delete(key)) this.bytes -= values.byteLength;
    for (const [oldest, { byteLength }] of this.entries) {
      if (this.bytes + values.byteLength <= KEPT_BYTES) break;
      this.entries.delete(oldest);
      this.bytes -= byteLength;
    }
    this.entries.set(key, values);
    this.bytes += values.byteLength;
    return values;
  }
}

/** Where the values of a constant come from that stays in its file, or is computed from one. */
interface Origin {
  readonly recent: Recent;
  /**
   * Some elements, anew each time.
   *
   * @param room where they may lie, if they are read from a file as they are
   */
  read(start: number, count: number, room?: ArrayBuffer): Values;
}

const origins = new WeakMap<Constant, Origin>();

/** How many elements are read together where a constant is read piece by piece. */
const PIECE = 2 ** 18;

function elementsOf({ shape }: Pick<Constant, 'shape'>): number {
  return shape.reduce((product, d) => product * d, 1);
}

/** A constant whose values are made whenever they are not among the most recently used ones. */
function lazyConstant(
  { dtype, shape }: Pick<Constant, 'dtype' | 'shape'>,
  recent: Recent,
  make: Origin['read'],
): Constant {
  const key = {};
  const count = elementsOf({ shape });
  const constant = {
    dtype,
    shape,
    get values() {
      return recent.get(key, () => make(0, count));
    },
  };
  const read: Origin['read'] = (start, length, room) =>
    recent.peek(key)?.subarray(start, start + length) ?? make(start, length, room);
  origins.set(constant, { recent, read });
  return constant;
}

/** Consecutive values of a constant; where they lie may hold the next ones after that. */
export interface Piece {
  /** The flat index of the first one. */
  readonly start: number;
  readonly values: Values;
}

/** The values of a constant, one piece after the other: a large one that stays in its file is never held as a whole. */
export function* piecesOf(constant: Constant): Generator<Piece> {
  const origin = origins.get(constant);
  if (!origin) {
    yield { start: 0, values: constant.values };
    return;
  }
  const count = elementsOf(constant);
  const room = new ArrayBuffer(4 * Math.min(PIECE, count));
  for (let start = 0; start < count; start += PIECE)
    yield { start, values: origin.read(start, Math.min(PIECE, count - start), room) };
}

/**
 * A float32 constant of the same shape, computed from another one, element by element: anew each time, if that one stays
 * in its file.
 *
 * @param compute from a value and its flat index
 */
export function derivedConstant(
  source: Constant,
  compute: (value: number, index: number) => number,
): Constant {
  const computed = (values: Values, start: number) => {
    const results = new Float32Array(values.length);
    for (let i = 0; i < results.length; i++) results[i] = compute(values[i], start + i);
    return results;
  };
  const origin = origins.get(source);
  const derived = origin
    ? lazyConstant(source, origin.recent, (start, count, room) =>
        computed(origin.read(start, count, room), start),
      )
    : { ...source, values: computed(source.values, 0) };
  if (fromBytes.has(source)) fromBytes.add(derived);
  return derived;
}

/** A part of a float32 constant along an axis, whose values are made whenever they are looked at. */
export function sliceOf(constant: Constant, axis: number, from: number, to: number): Constant {
  const { dtype, shape } = constant;
  const inner = elementsOf({ shape: shape.slice(axis + 1) });
  const [before, after] = [shape[axis] * inner, (to - from) * inner];
  const copy = () => {
    const values = new Float32Array((elementsOf(constant) / before) * after);
    for (const piece of piecesOf(constant)) {
      const end = piece.start + piece.values.length;
      for (let row = Math.floor(piece.start / before); row * before < end; row++) {
        const first = Math.max(row * before + from * inner, piece.start);
        const last = Math.min(row * before + to * inner, end);
        if (first >= last) continue;
        const at = row * after + first - row * before - from * inner;
        values.set(piece.values.subarray(first - piece.start, last - piece.start), at);
      }
    }
    return values;
  };
  return {
    dtype,
    shape: shape.map((d, i) => (i === axis ? to - from : d)),
    get values() {
      return copy();
    },
  };
}

/** Bytes of a constant. */
interface Part {
  /** From the constant's first byte on, a multiple of four. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** An int32 constant [words] of parts that lie where they are, with zeros between them. */
export function joinedConstant(parts: readonly Part[], words: number): Constant {
  const read: Origin['read'] = (start, count, room = new ArrayBuffer(4 * count)) => {
    const bytes = new Uint8Array(room, 0, 4 * count).fill(0);
    const first = 4 * start;
    for (const part of parts) {
      const from = Math.max(first - part.offset, 0);
      const to = Math.min(first + bytes.length - part.offset, part.bytes.length);
      if (from < to) bytes.set(part.bytes.subarray(from, to), part.offset + from - first);
    }
    return new Int32Array(room, 0, count);
  };
  return lazyConstant({ dtype: 'int32', shape: [words] }, new Recent(), read);
}

/** Fills an array with the bytes of an int32 constant from an offset on. */
export function copyBytes(constant: Constant, offset: number, into: Uint8Array): void {
  const first = Math.floor(offset / 4);
  const end = Math.ceil((offset + into.length) / 4);
  const words = origins.get(constant)?.read(first, end - first) ?? constant.values.subarray(first, end);
  into.set(new Uint8Array(words.buffer, words.byteOffset + offset - 4 * first, into.length));
}

/** Makes the constants of one model that stay in their files. */
export class StoredConstants {
  private readonly recent = new Recent();

  /**
   * A constant whose values are read whenever they are not among the most recently used ones.
   *
   * @param read some elements, from a start on, anew each time; they may lie in the room that is given
   */
  constant(type: Pick<Constant, 'dtype' | 'shape'>, read: Origin['read']): Constant {
    return lazyConstant(type, this.recent, read);
  }
}
