/** Errors of any kind as those that programs can react to: all that leaves an entry of the package has a code. */
import { LowbitError } from './errors';

/** Where V8 finds no memory it says so in words only. */
const OUT_OF_MEMORY = /allocation failed|Invalid (typed )?array( buffer)? length/i;

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.name === 'Error' ? cause.message : `${cause.name}: ${cause.message}`;
}

/**
 * An error as a LowbitError: itself if it is one; else 'out-of-memory', or 'internal' with the error as its cause.
 *
 * @param where what failed, as a sentence begins: `Planning Conv2D 'head/conv'`
 */
export function codedError(error: unknown, where: string): LowbitError {
  if (error instanceof LowbitError) return error;
  const code =
    error instanceof RangeError && OUT_OF_MEMORY.test(error.message) ? 'out-of-memory' : 'internal';
  const advice = code === 'internal' ? ' Nobody has foreseen this: please report it, with the model.' : '';
  return new LowbitError(code, `${where} failed: ${describe(error).replace(/\.?$/, '.')}${advice}`, {
    cause: error,
  });
}

/** Runs something; what it throws has a code. */
export async function withCode<T>(where: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw codedError(error, where);
  }
}

function iteratorOf<T>(items: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}

/**
 * Items of the user's own: what fails while they are made is not a fault of ours.
 *
 * @param open starts the iteration
 * @throws LowbitError (while iterating) 'invalid-argument' with the user's error as its cause
 */
export async function* fromUser<T>(open: () => AsyncIterable<T>, what: string): AsyncGenerator<T> {
  let iterator: AsyncIterator<T> | Iterator<T> | undefined;
  try {
    while (true) {
      let next: IteratorResult<T>;
      try {
        iterator ??= iteratorOf<T>(open());
        next = await iterator.next();
      } catch (error) {
        if (error instanceof LowbitError) throw error;
        const message = `${what} failed to give a sample: ${describe(error)}`;
        throw new LowbitError('invalid-argument', message, { cause: error });
      }
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await iterator?.return?.();
  }
}
