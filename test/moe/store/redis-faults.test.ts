// @needs engine
/** Redis that is away for a while, goes silent, or answers what Redis does not. */
import { setTimeout as delay } from 'node:timers/promises';
import { pageAligned } from '../../../src/moe/store/container';
import { fileSource } from '../../../src/moe/store/file-source';
import { copyToRedis, redisSource } from '../../../src/moe/store/redis-source';
import type { ExpertSource } from '../../../src/moe/store/source';
import { type ExpertFolder, expertBytes, makeExperts } from '../../support/experts';
import { FakeRedis } from '../../support/fake-redis';

const prefix = 'experts';
const redis = new FakeRedis();
let made: ExpertFolder;
let url: string;
let source: ExpertSource;

beforeAll(async () => {
  made = await makeExperts();
});

afterAll(() => made.remove());

beforeEach(async () => {
  url = await redis.start();
  redis.mode = 'right';
  redis.values.clear();
  const file = await fileSource(made.path);
  await copyToRedis(file, { url, prefix });
  await file.close();
  source = await redisSource({ url, prefix, timeout: 400 });
});

afterEach(async () => {
  await source.close();
  await redis.stop();
});

async function readFirst(): Promise<Uint8Array> {
  const [record] = source.index.records;
  const into = new Uint8Array(pageAligned(record!.bytes));
  await source.read(record!, into);
  return into.subarray(0, record!.bytes);
}

/** The error of a call and how many milliseconds it took. */
async function failure(call: () => Promise<unknown>): Promise<{ error: Error; milliseconds: number }> {
  const start = performance.now();
  const error = await call().then(
    () => new Error('it did not fail'),
    (reason: Error) => reason,
  );
  return { error, milliseconds: performance.now() - start };
}

test('a command waits for the server to come back', async () => {
  await redis.stop();
  const reading = readFirst();
  await delay(120);
  await redis.start();
  expect(await reading).toEqual(expertBytes(0, 0));
});

test('a server that stays away is an error at the end of the time', async () => {
  await redis.stop();
  const { error, milliseconds } = await failure(readFirst);
  expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('127.0.0.1') });
  expect(milliseconds).toBeLessThan(2000);
  await redis.start();
});

test.each(['silent', 'nonsense'] as const)(
  'a server that is %s is an error at the end of the time, and is used again once it is right',
  async (mode) => {
    redis.mode = mode;
    const reads = await Promise.all([failure(readFirst), failure(readFirst)]);
    for (const { error, milliseconds } of reads) {
      expect(error).toMatchObject({
        code: 'io',
        message: expect.stringContaining('no answer within 400 ms'),
      });
      expect(milliseconds).toBeLessThan(2000);
    }
    redis.mode = 'right';
    expect(await readFirst()).toEqual(expertBytes(0, 0));
  },
);

test.each(['silent', 'nonsense'] as const)(
  'opening experts of a server that is %s ends in time',
  async (mode) => {
    redis.mode = mode;
    const { error, milliseconds } = await failure(() => redisSource({ url, prefix, timeout: 200 }));
    expect(error).toMatchObject({ code: 'io' });
    expect(milliseconds).toBeLessThan(2000);
  },
);

test('many commands share one new connection after the old one was lost', async () => {
  const before = redis.connections;
  await redis.stop();
  await redis.start();
  const all = await Promise.all(Array.from({ length: 20 }, readFirst));
  for (const bytes of all) expect(Buffer.compare(bytes, expertBytes(0, 0))).toBe(0);
  expect(redis.connections - before).toBeLessThanOrEqual(2);
});

test.each([
  ['{', 'it is no JSON'],
  ['{}', 'it lacks fields'],
  [
    JSON.stringify({
      ...{ version: 1, layers: 60_000, experts: 60_000, precisions: [{ name: 'int8', layout: null }] },
      records: [{ layer: 0, expert: 0, precision: 0, offset: 0, bytes: 10, crc: 0 }],
    }),
    'it names 60000 layers of 60000 experts but has 1',
  ],
])('refuses the index %s', async (text, message) => {
  redis.values.set(`${prefix}:index`, Buffer.from(text));
  await expect(redisSource({ url, prefix, timeout: 400 })).rejects.toMatchObject({
    code: 'invalid-weights',
    message: expect.stringContaining(message),
  });
});
