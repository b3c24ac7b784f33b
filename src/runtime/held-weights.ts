/**
 * Passes the weights of programs from a file to the engine without TF.js, which would keep a copy of its own for as
 * long as the model lives, beside the one that the engine makes.
 *
 * TF.js gets a token of a few words instead. The engine reads the weights piece by piece when it compiles the program.
 */
import { LowbitError } from '../base/errors';
import type { WeightReader } from './engine';

/** 'LBHW' */
const MAGIC = 0x5748424c;

const TOKEN_WORDS = 4;
const WORD = 4;

/** Distinguishes the tokens of this thread from those of another. */
const OWNER = Math.floor(Math.random() * 2 ** 31);

/** Owned by the loader, freed with the model. */
const all = new Map<number, WeakRef<WeightReader>>();
const gone = new FinalizationRegistry<number>((id) => all.delete(id));
let lastId = 0;

/**
 * @param reader must live as long as the token
 * @returns the token
 */
export function holdWeights(reader: WeightReader): Int32Array {
  const id = ++lastId;
  all.set(id, new WeakRef(reader));
  gone.register(reader, id);
  return Int32Array.of(MAGIC, OWNER, id, reader.byteLength / WORD);
}

/**
 * What reads the weights that a token in a tensor stands for; or the words of the tensor, if they are no token.
 *
 * @throws LowbitError 'invalid-weights' for words that stand for weights of another thread or of a model that is gone
 */
export function takeWeights(words: Int32Array): Int32Array | WeightReader {
  const [magic, owner, id, length] = words;
  if (words.length !== TOKEN_WORDS || magic !== MAGIC) return words;
  const reader = owner === OWNER ? all.get(id)?.deref() : undefined;
  if (reader?.byteLength === length * WORD) return reader;
  throw new LowbitError(
    'invalid-weights',
    'The weights of a quantized region are not in this model, which was copied from memory; load it from its files.',
  );
}
