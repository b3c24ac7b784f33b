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
  /** Of a package of TF.js, of which one was to be installed: the message names both. */
  | 'two-copies'
  /** One that only some uses need, such as sharp: the message has its install line. */
  | 'missing-package'
  | 'out-of-memory'
  /** Data that take more than they claim, or than is allowed. */
  | 'limit'
  | 'accuracy'
  | 'io'
  /** Something else that failed, in TF.js or here: the message names the node. */
  | 'internal'
  | 'cancelled';

/**
 * Escapes control characters but for line ends and tabs: names in messages come from files, and would reach terminals.
 */
function printable(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return message.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** The one error class of the package: `code` for programs, `message` for people (what, where, expected, what to do). */
export class LowbitError extends Error {
  readonly code: LowbitErrorCode;

  constructor(code: LowbitErrorCode, message: string, options?: { cause?: unknown }) {
    super(printable(message), options);
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
