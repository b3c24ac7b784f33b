/** What kind of thing went wrong; stable, for programs that react to an error. */
export type LowbitErrorCode =
  | 'invalid-argument'
  | 'invalid-model'
  | 'invalid-weights'
  | 'invalid-program'
  | 'invalid-shape'
  | 'invalid-range'
  | 'unsupported-version'
  | 'unsupported-backend'
  | 'already-converted'
  | 'engine-unavailable'
  | 'out-of-memory'
  | 'accuracy'
  | 'io'
  /** Something else that failed, in TF.js or here: the message names the node. */
  | 'internal'
  | 'cancelled';

/** The one error class of the package: `code` for programs, `message` for people (what, where, expected, what to do). */
export class LowbitError extends Error {
  readonly code: LowbitErrorCode;

  constructor(code: LowbitErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'LowbitError';
    this.code = code;
  }
}

/**
 * Checks an argument and throws in the one form that all argument errors have.
 *
 * @param ok whether the argument is right
 * @param name the parameter's name as the caller wrote it
 * @param expected what would have been right, for example `'a positive integer'`
 * @param received what came
 * @throws LowbitError 'invalid-argument' unless `ok`
 */
export function checkArgument(ok: boolean, name: string, expected: string, received: unknown): asserts ok {
  if (ok) return;
  const shown = typeof received === 'string' ? `'${received}'` : String(received);
  throw new LowbitError('invalid-argument', `Expected ${expected} for ${name} but received ${shown}.`);
}
