import { setTimeout as delay } from 'node:timers/promises';
import { LowbitError } from '../../base/errors';
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

/**
 * Opens a container of experts on a web server that answers range requests.
 *
 * @throws LowbitError 'io' if the server does not answer as it should, 'invalid-weights' or 'unsupported-version' as
 *   `readIndex`
 */
export async function httpSource(url: string, options: HttpSourceOptions = {}): Promise<ExpertSource> {
  const { tries = 3, retryDelay = 100, timeout = 30_000 } = options;

  async function once(offset: number, bytes: number): Promise<Uint8Array> {
    const range = `bytes=${offset}-${offset + bytes - 1}`;
    const response = await fetch(url, { headers: { range }, signal: AbortSignal.timeout(timeout) });
    if (response.status === 206) return new Uint8Array(await response.arrayBuffer());
    await response.body?.cancel();
    if (response.status === 200) throw new Refused('the server does not answer range requests');
    const what = `the server answered ${response.status} ${response.statusText}`;
    throw response.status >= 400 && response.status < 500 ? new Refused(what) : new Error(what);
  }

  async function fetchRange(offset: number, bytes: number): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(offset, bytes);
      } catch (error) {
        if (attempt >= tries || error instanceof Refused) throw error;
        await delay(retryDelay * 2 ** (attempt - 1));
      }
    }
  }

  async function size(): Promise<number> {
    const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(timeout) });
    if (!response.ok) throw new Refused(`the server answered ${response.status} ${response.statusText}`);
    return Number(response.headers.get('content-length'));
  }

  const reason = (error: unknown) => {
    const { message, cause } = error as Error;
    return cause instanceof Error ? `${message}, ${cause.message}` : message;
  };
  let index: ExpertSource['index'];
  try {
    index = await readIndex(url, await size(), fetchRange);
  } catch (cause) {
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError('io', `Cannot open the experts at ${url}: ${reason(cause)}.`, { cause });
  }
  return {
    name: url,
    index,
    async read(record, into) {
      let bytes: Uint8Array;
      try {
        bytes = await fetchRange(record.offset, record.bytes);
      } catch (error) {
        throw expertError(url, record, 'io', reason(error), error);
      }
      copyChecked(url, record, bytes, into);
    },
    async close() {},
  };
}
