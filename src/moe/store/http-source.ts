import { setTimeout as delay } from 'node:timers/promises';
import { LowbitError } from '../../base/errors';
import { shownHttp } from './address';
import { copyChecked, expertError } from './checked';
import { readIndex } from './container';
import type { ExpertSource } from './source';

export interface HttpSourceOptions {
  /**
   * Tries of a request before it counts as failed. Default 3; the second comes after `retryDelay`, each later one after
   * twice as long.
   */
  readonly tries?: number;
  /** In milliseconds. Default 100. */
  readonly retryDelay?: number;
  /** Of one request, in milliseconds. Default 30000. */
  readonly timeout?: number;
}

/** A status that retrying will not change. */
class Refused extends Error {}

/** A status that retrying may change, at the earliest after some milliseconds. */
class Busy extends Error {
  constructor(
    message: string,
    readonly after: number,
  ) {
    super(message);
  }
}

const RETRIED = [408, 425, 429];

/** Milliseconds that a header tells to wait; 0 without one. Of a date, nothing is made: clocks differ. */
function retryAfter({ headers }: Response): number {
  const seconds = Number(headers.get('retry-after') ?? 0);
  return seconds > 0 ? 1000 * seconds : 0;
}

/** The body of exactly this many bytes; reads no more than those. */
async function bodyOf(response: Response, bytes: number): Promise<Uint8Array> {
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  if (encoding !== 'identity') {
    await response.body?.cancel();
    throw new Refused(`the server compressed the range (${encoding})`);
  }
  const into = new Uint8Array(bytes);
  let filled = 0;
  for await (const chunk of response.body ?? []) {
    // Ending the loop cancels the rest.
    if (filled + chunk.length > bytes)
      throw new Refused(`the server sent more than the ${bytes} bytes of the range`);
    into.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < bytes) throw new Error(`${filled} bytes came instead of ${bytes}`);
  return into;
}

/** The address without user and password, which go into a header. */
function requestOf(url: string): { address: string; headers: Record<string, string> } {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new LowbitError(
      'invalid-argument',
      `Expected the address of a file on a web server: ${shownHttp(url)}.`,
    );
  }
  const { username, password } = parsed;
  // Compressed bodies would not be those of the range.
  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (username !== '' || password !== '') {
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    headers.authorization = `Basic ${Buffer.from(user).toString('base64')}`;
  }
  parsed.username = '';
  parsed.password = '';
  return { address: parsed.href, headers };
}

/**
 * Opens a container of experts on a web server that answers range requests. Messages show the address without user,
 * password and query.
 *
 * @throws LowbitError 'io' if the server does not answer as it should, 'invalid-argument' for a malformed address,
 *   'invalid-weights' or 'unsupported-version' as `readIndex`
 */
export async function httpSource(url: string, options: HttpSourceOptions = {}): Promise<ExpertSource> {
  const { tries = 3, retryDelay = 100, timeout = 30_000 } = options;
  const { address, headers } = requestOf(url);
  const name = shownHttp(url);

  function statusError(response: Response): Error {
    const { status, statusText } = response;
    const what = `the server answered ${status} ${statusText}`;
    if (RETRIED.includes(status) || status >= 500) return new Busy(what, retryAfter(response));
    return new Refused(what);
  }

  async function rangeOnce(offset: number, bytes: number): Promise<Uint8Array> {
    const range = `bytes=${offset}-${offset + bytes - 1}`;
    const response = await fetch(address, {
      headers: { ...headers, range },
      signal: AbortSignal.timeout(timeout),
    });
    if (response.status === 206) return bodyOf(response, bytes);
    await response.body?.cancel();
    if (response.status === 200) throw new Refused('the server does not answer range requests');
    throw statusError(response);
  }

  async function sizeOnce(): Promise<number> {
    const response = await fetch(address, { method: 'HEAD', headers, signal: AbortSignal.timeout(timeout) });
    if (!response.ok) throw statusError(response);
    return Number(response.headers.get('content-length'));
  }

  async function retried<Result>(once: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once();
      } catch (error) {
        if (attempt >= tries || error instanceof Refused) throw error;
        const after = error instanceof Busy ? Math.min(error.after, timeout) : 0;
        await delay(Math.max(after, retryDelay * 2 ** (attempt - 1)));
      }
    }
  }

  const fetchRange = (offset: number, bytes: number) => retried(() => rangeOnce(offset, bytes));
  const reason = (error: unknown) => {
    const { message, cause } = error as Error;
    return cause instanceof Error ? `${message}, ${cause.message}` : message;
  };
  let index: ExpertSource['index'];
  try {
    index = await readIndex(name, await retried(sizeOnce), fetchRange);
  } catch (cause) {
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError('io', `Cannot open the experts at ${name}: ${reason(cause)}.`, { cause });
  }
  return {
    name,
    index,
    async read(record, into) {
      let bytes: Uint8Array;
      try {
        bytes = await fetchRange(record.offset, record.bytes);
      } catch (error) {
        throw expertError(name, record, 'io', reason(error), error);
      }
      copyChecked(name, record, bytes, into);
    },
    async close() {},
  };
}
