/**
 * Experts in Redis, for machines that share one store: the index under `<prefix>:index`, the bytes of each expert under
 * `<prefix>:<layer>:<expert>:<precision>`.
 */
import { createClient, RESP_TYPES } from '@redis/client';
import { z } from 'zod';
import { LowbitError } from '../../base/errors';
import { currentEngine } from '../../runtime/current-engine';
import { copyChecked, expertError } from './checked';
import { type ExpertIndex, type ExpertRecord, pageAligned } from './container';
import type { ExpertSource } from './source';

export interface RedisSourceOptions {
  /** `redis://user:password@host:port/database`. */
  readonly url: string;
  /** Of the keys. */
  readonly prefix: string;
  /** Of one command, and of connecting, in milliseconds. Default 5000. */
  readonly timeout?: number;
}

const DEFAULT_TIMEOUT = 5000;
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

/** An address without user and password, for messages; also of one that is malformed. */
const withoutCredentials = (url: string) => url.replace(/\/\/.*@/, '//');

function clientOf({ url, timeout }: Required<Omit<RedisSourceOptions, 'prefix'>>) {
  try {
    return createClient({
      url,
      commandOptions: { timeout },
      disableOfflineQueue: true,
      socket: { connectTimeout: timeout, reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 2000) },
    });
  } catch (error) {
    // Not as its cause, which holds the whole address.
    const { message } = error as Error;
    throw new LowbitError(
      'invalid-argument',
      `Not an address of Redis: ${withoutCredentials(url)}: ${message}`,
    );
  }
}

async function connect({ url, timeout = DEFAULT_TIMEOUT }: RedisSourceOptions) {
  const client = clientOf({ url, timeout });
  // Errors reject the pending commands; without a listener they would also end the process.
  client.on('error', () => {});
  const cancel = setTimeout(() => client.destroy(), timeout);
  try {
    await client.connect();
    return client;
  } catch (cause) {
    throw new LowbitError(
      'io',
      `Cannot reach Redis at ${withoutCredentials(url)}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  } finally {
    clearTimeout(cancel);
  }
}

/**
 * Copies experts into Redis; the index comes last, so that a partial copy has none.
 *
 * @throws LowbitError 'io' if Redis cannot be written, 'invalid-argument' for a malformed address, or as the source
 *   does
 */
export async function copyToRedis(source: ExpertSource, options: RedisSourceOptions): Promise<void> {
  const { prefix, url } = options;
  const address = withoutCredentials(url);
  const client = await connect(options);
  try {
    const { records } = source.index;
    const largest = records.reduce((most, { bytes }) => Math.max(most, bytes), 1);
    const pages = currentEngine().allocatePages(pageAligned(largest));
    for (const record of records) {
      await source.read(record, new Uint8Array(pages));
      await client.set(keyOf(prefix, record), Buffer.from(pages, 0, record.bytes));
    }
    await client.set(`${prefix}:index`, JSON.stringify({ version: VERSION, ...source.index }));
  } catch (cause) {
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError(
      'io',
      `Cannot write the experts to Redis at ${address}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  } finally {
    client.destroy();
  }
}

/**
 * Opens experts that `copyToRedis` wrote.
 *
 * @throws LowbitError 'io' if Redis cannot be reached, 'invalid-argument' for a malformed address, 'invalid-weights' if
 *   the experts are not there, 'unsupported-version' if a later version wrote them
 */
export async function redisSource(options: RedisSourceOptions): Promise<ExpertSource> {
  const { url, prefix } = options;
  const address = withoutCredentials(url);
  const name = `${address} ${prefix}`;
  const client = await connect(options);
  const bytesClient = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });

  async function readIndexKey(): Promise<ExpertIndex> {
    const text = await client.get(`${prefix}:index`);
    if (text === null) {
      throw new LowbitError(
        'invalid-weights',
        `Redis at ${address} has no experts under ${prefix}; copy them there.`,
      );
    }
    const parsed = indexShape.safeParse(JSON.parse(text));
    if (!parsed.success)
      throw new LowbitError('invalid-weights', `The index of the experts in ${name} is damaged.`);
    if (parsed.data.version > VERSION) {
      throw new LowbitError('unsupported-version', `The experts in ${name} need a newer tfjs-lowbit.`);
    }
    return parsed.data as ExpertIndex;
  }

  let index: ExpertIndex;
  try {
    index = await readIndexKey();
  } catch (cause) {
    client.destroy();
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError('io', `Cannot read the experts in ${name}: ${(cause as Error).message}`, { cause });
  }
  return {
    name,
    index,
    async read(record, into) {
      let bytes: Buffer | null;
      try {
        bytes = await bytesClient.get(keyOf(prefix, record));
      } catch (error) {
        throw expertError(name, record, 'io', (error as Error).message, error);
      }
      if (bytes === null) throw expertError(name, record, 'invalid-weights', 'it is not there');
      copyChecked(name, record, bytes, into);
    },
    async close() {
      client.destroy();
    },
  };
}
