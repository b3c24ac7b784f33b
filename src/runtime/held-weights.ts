/**
 * Weights of programs on their way from a file to the engine, past TF.js: it would keep a copy of its own for as long as
 * the model lives, beside the one that the engine makes.
 *
 * TF.js gets a few words that stand for them. They are let go as soon as they are compiled, and read again from the file
 * should they be needed once more.
 */
import { LowbitError } from '../base/errors';

/** 'LBHW' */
const MAGIC = 0x5748424c;

const TOKEN_WORDS = 4;

interface Held {
  words: Int32Array | undefined;
  read(): Int32Array;
}

/** Whoever loaded them keeps them: with the model gone, they are too. */
const all = new Map<number, WeakRef<Held>>();
const gone = new FinalizationRegistry<number>((id) => all.delete(id));
let lastId = 0;

/**
 * @param words the weights
 * @param read reads them again
 * @returns what stands for them, and what must live as long as it does
 */
export function holdWeights(words: Int32Array, read: () => Int32Array): { token: Int32Array; held: object } {
  const held: Held = { words, read };
  const id = ++lastId;
  all.set(id, new WeakRef(held));
  gone.register(held, id);
  return { token: Int32Array.of(MAGIC, process.pid, id, words.length), held };
}

/**
 * The weights that a tensor's words stand for, which are let go; or the words themselves.
 *
 * @throws LowbitError 'invalid-weights' for words that stand for weights of another process or a model that is gone
 */
export function takeWeights(words: Int32Array): Int32Array {
  const [magic, owner, id, length] = words;
  if (words.length !== TOKEN_WORDS || magic !== MAGIC) return words;
  const held = owner === process.pid ? all.get(id)?.deref() : undefined;
  const weights = held?.words ?? held?.read();
  if (!held || weights?.length !== length) {
    throw new LowbitError(
      'invalid-weights',
      'The weights of a quantized region are not in this model, which was copied from memory; load it from its files.',
    );
  }
  held.words = undefined;
  return weights;
}
