/**
 * Passes the weights of programs from a file to the engine without TF.js, which would keep a copy of its own for as
 * long as the model lives, beside the one that the engine makes.
 *
 * TF.js gets a token of a few words instead. The weights are dropped once they are compiled, and read again from the
 * file if they are needed once more.
 */
import { LowbitError } from '../base/errors';

/** 'LBHW' */
const MAGIC = 0x5748424c;

const TOKEN_WORDS = 4;

/** Distinguishes the tokens of this thread from those of another. */
const OWNER = Math.floor(Math.random() * 2 ** 31);

interface Held {
  words: Int32Array | undefined;
  read(): Int32Array;
}

/** Owned by the loader, freed with the model. */
const all = new Map<number, WeakRef<Held>>();
const gone = new FinalizationRegistry<number>((id) => all.delete(id));
let lastId = 0;

/**
 * @param words the weights
 * @param read reads them again
 * @returns the token, and an object that must live as long as it does
 */
export function holdWeights(words: Int32Array, read: () => Int32Array): { token: Int32Array; held: object } {
  const held: Held = { words, read };
  const id = ++lastId;
  all.set(id, new WeakRef(held));
  gone.register(held, id);
  return { token: Int32Array.of(MAGIC, OWNER, id, words.length), held };
}

/**
 * The weights that a token in a tensor stands for, which are dropped; or the words of the tensor, if they are no token.
 *
 * @throws LowbitError 'invalid-weights' for words that stand for weights of another thread or of a model that is gone
 */
export function takeWeights(words: Int32Array): Int32Array {
  const [magic, owner, id, length] = words;
  if (words.length !== TOKEN_WORDS || magic !== MAGIC) return words;
  const held = owner === OWNER ? all.get(id)?.deref() : undefined;
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
