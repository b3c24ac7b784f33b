/**
 * Experts in Redis, for machines that share one store: the index under `<prefix>:index`, the bytes of each expert under
 * `<prefix>:<layer>:<expert>:<precision>`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type * as redisClient from '@redis/client';
import { LowbitError } from '../../base/errors';
import { missingPackage } from '../../base/missing-package';
import { currentEngine } from '../../runtime/current-engine';
import * as z from '../../vendor/zod';
import { shownRedis, WITHHELD } from './address';
import { copyChecked, expertError } from './checked';
import { type ExpertIndex, type ExpertRecord, indexProblem, pageAligned } from './container';
import type { ExpertSource } from './source';

export interface RedisSourceOptions {
  /** `redis://user:password@host:port/database`. */
  readonly url: string;
  /** Of the keys. */
  readonly prefix: string;
  /** Of one command, with connecting again where the connection was lost, in milliseconds. Default 5000. */
  readonly timeout?: number;
}

const DEFAULT_TIMEOUT = 5000;
/** In milliseconds, before connecting again. */
const FIRST_DELAY = 20;
const MAX_DELAY = 1000;
const VERSION = 1;

const natural = z.int().nonnegative();

const indexShape = z.object({
  version: natural,
  layers: natural,
  experts: natural,
  precisions: z.array(z.object({ name: z.string(), layout: z.unknown() })).min(1),
  records: z.array(
    z.object({
      layer: natural,
      expert: natural,
      precision: natural,
      offset: natural,
      bytes: natural,
      crc: natural,
    }),
  ),
});

const keyOf = (prefix: string, { layer, expert, precision }: ExpertRecord) =>
  `${prefix}:${layer}:${expert}:${precision}`;

function loadClient(): typeof redisClient {
  try {
    return require('@redis/client');
  } catch (cause) {
    throw missingPackage('@redis/client', 'A source of experts in Redis', cause);
  }
}

type Client = ReturnType<typeof newClient>;

function newClient(url: string, connectTimeout: number) {
  // Neither the message of what fails nor itself as the cause: they may hold a part of the password.
  const malformed = () =>
    new LowbitError(
      'invalid-argument',
      `Not an address of Redis: ${shownRedis(url)}; expected redis://user:password@host:port/database or rediss://..., ` +
        'with / ? # @ in a password percent-encoded.',
    );
  if (shownRedis(url) === WITHHELD) throw malformed();
  const { createClient } = loadClient();
  try {
    return createClient({
      ...{ url, disableOfflineQueue: true },
      // `Connection` connects again.
      socket: { connectTimeout, reconnectStrategy: false },
    });
  } catch {
    throw malformed();
  }
}

/** What the server said, which trying again will not change. */
function isFinal(error: unknown): boolean {
  if (error instanceof LowbitError) return true;
  return error instanceof loadClient().ErrorReply && !/^(LOADING|BUSY|TRYAGAIN)/.test(error.message);
}

/**
 * Runs commands, each within a deadline: it connects again where the connection is lost, or was dropped as it gave no
 * answer in time. A command may be sent twice.
 */
class Connection {
  private client: Client | undefined;
  private opening: Promise<Client> | undefined;
  private closed = false;
  /** For messages. */
  readonly address: string;

  constructor(
    private readonly url: string,
    private readonly timeout = DEFAULT_TIMEOUT,
  ) {
    this.address = shownRedis(url);
  }

  /** @throws Error telling why there is no answer, at the latest after the timeout; LowbitError for a malformed address */
  async run<Result>(command: (client: Client) => Promise<Result>): Promise<Result> {
    const end = performance.now() + this.timeout;
    for (let wait = FIRST_DELAY; ; wait = Math.min(2 * wait, MAX_DELAY)) {
      const opening = this.open();
      try {
        const client = await this.inTime(end, opening);
        return await this.inTime(end, command(client));
      } catch (error) {
        if (isFinal(error)) throw error;
        if (this.opening === opening) this.drop();
        if (this.closed) throw error;
        if (performance.now() + wait >= end) throw this.late(error as Error);
        await delay(wait);
      }
    }
  }

  close(): void {
    this.closed = true;
    this.drop();
  }

  private open(): Promise<Client> {
    if (this.closed) return Promise.reject(new Error('it was closed'));
    this.opening ??= this.connect();
    return this.opening;
  }

  private async connect(): Promise<Client> {
    const client = newClient(this.url, this.timeout);
    this.client = client;
    // Errors reject the pending commands; without a listener they would also end the process.
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  private drop(): void {
    this.client?.destroy();
    this.client = undefined;
    this.opening = undefined;
  }

  private late(cause: Error): Error {
    return new Error(`no answer within ${this.timeout} ms: ${cause.message}`, { cause });
  }

  private async inTime<Result>(end: number, result: Promise<Result>): Promise<Result> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const stop = () => reject(new Error('the server is silent'));
      timer = setTimeout(stop, Math.max(0, end - performance.now()));
    });
    // Where it is late it may fail later, when the client is dropped.
    result.catch(() => {});
    try {
      return await Promise.race([result, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Copies experts into Redis; the index comes last, so that a partial copy has none.
 *
 * @throws LowbitError 'missing-package' where @redis/client is not installed, 'io' if Redis cannot be written, 'invalid-argument' for a malformed address, or as the source
 *   does
 */
export async function copyToRedis(source: ExpertSource, options: RedisSourceOptions): Promise<void> {
  const { prefix, url, timeout } = options;
  const connection = new Connection(url, timeout);
  try {
    const { records } = source.index;
    const largest = records.reduce((most, { bytes }) => Math.max(most, bytes), 1);
    const pages = currentEngine().allocatePages(pageAligned(largest));
    for (const record of records) {
      await source.read(record, new Uint8Array(pages));
      await connection.run((client) =>
        client.set(keyOf(prefix, record), Buffer.from(pages, 0, record.bytes)),
      );
    }
    const index = JSON.stringify({ version: VERSION, ...source.index });
    await connection.run((client) => client.set(`${prefix}:index`, index));
  } catch (cause) {
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError(
      'io',
      `Cannot write the experts to Redis at ${connection.address}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  } finally {
    connection.close();
  }
}

/**
 * Opens experts that `copyToRedis` wrote.
 *
 * @throws LowbitError 'missing-package' where @redis/client is not installed, 'io' if Redis cannot be reached, 'invalid-argument' for a malformed address, 'invalid-weights' if
 *   the experts are not there, 'unsupported-version' if a later version wrote them
 */
export async function redisSource(options: RedisSourceOptions): Promise<ExpertSource> {
  const { url, prefix, timeout } = options;
  const connection = new Connection(url, timeout);
  const { address } = connection;
  const name = `${address} ${prefix}`;

  async function readIndexKey(): Promise<ExpertIndex> {
    const text = await connection.run((client) => client.get(`${prefix}:index`));
    if (text === null) {
      throw new LowbitError(
        'invalid-weights',
        `Redis at ${address} has no experts under ${prefix}; copy them there.`,
      );
    }
    const damaged = (why: string) =>
      new LowbitError(
        'invalid-weights',
        `The index of the experts in ${name} is damaged: ${why}. Copy them anew.`,
      );
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw damaged('it is no JSON');
    }
    const parsed = indexShape.safeParse(json);
    if (!parsed.success) throw damaged('it lacks fields');
    if (parsed.data.version > VERSION) {
      throw new LowbitError('unsupported-version', `The experts in ${name} need a newer tfjs-lowbit.`);
    }
    const problem = indexProblem(parsed.data as ExpertIndex);
    if (problem !== undefined) throw damaged(problem);
    return parsed.data as ExpertIndex;
  }

  let index: ExpertIndex;
  try {
    index = await readIndexKey();
  } catch (cause) {
    connection.close();
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError('io', `Cannot read the experts in Redis at ${name}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return {
    name,
    index,
    async read(record, into) {
      let bytes: Buffer | null;
      try {
        bytes = await connection.run((client) =>
          client
            .withTypeMapping({ [loadClient().RESP_TYPES.BLOB_STRING]: Buffer })
            .get(keyOf(prefix, record)),
        );
      } catch (error) {
        throw expertError(name, record, 'io', (error as Error).message, error);
      }
      if (bytes === null) throw expertError(name, record, 'invalid-weights', 'it is not there');
      copyChecked(name, record, bytes, into);
    },
    async close() {
      connection.close();
    },
  };
}
