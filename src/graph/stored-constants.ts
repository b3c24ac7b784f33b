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
}

/** Weights from this size on stay in their file. */
export const STORED_BYTES = 64 * 1024;

/** How much of them is kept in memory: passes look at a weight several times in a row. */
const KEPT_BYTES = 16 * 1024 * 1024;

/** The most recently used weights. */
class Recent {
  private readonly entries = new Map<object, Constant['values']>();
  private bytes = 0;

  get(key: object, load: () => Constant['values']): Constant['values'] {
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

/** Where the values of a constant that stays in its file, or is computed from one, are kept once they were looked at. */
const keptIn = new WeakMap<Constant, Recent>();

/** A constant whose values are made whenever they are not among the most recently used ones. */
function lazyConstant(
  { dtype, shape }: Pick<Constant, 'dtype' | 'shape'>,
  recent: Recent,
  make: () => Constant['values'],
): Constant {
  const key = {};
  const constant = {
    dtype,
    shape,
    get values() {
      return recent.get(key, make);
    },
  };
  keptIn.set(constant, recent);
  return constant;
}

/** A constant of the same shape, computed from another one: anew each time, if that one stays in its file. */
export function derivedConstant(
  source: Constant,
  compute: (values: Constant['values']) => Constant['values'],
): Constant {
  const recent = keptIn.get(source);
  return recent
    ? lazyConstant(source, recent, () => compute(source.values))
    : { ...source, values: compute(source.values) };
}

/** Makes the constants of one model that stay in their files. */
export class StoredConstants {
  private readonly recent = new Recent();

  /**
   * A constant whose values are read whenever they are not among the most recently used ones.
   */
  constant(type: Pick<Constant, 'dtype' | 'shape'>, read: () => Constant['values']): Constant {
    return lazyConstant(type, this.recent, read);
  }
}
