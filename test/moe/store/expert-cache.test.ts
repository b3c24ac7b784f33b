// @needs engine
import { setImmediate as turn } from 'node:timers/promises';
import type { ExpertRecord } from '../../../src/moe/store/container';
import { ExpertCache } from '../../../src/moe/store/expert-cache';
import { fileSource } from '../../../src/moe/store/file-source';
import type { ExpertSource } from '../../../src/moe/store/source';
import { type ExpertFolder, expertBytes, makeExperts, openDirect } from '../../support/experts';
import { Random } from '../../support/random';

const SLOT = 3 * 4096;

let made: ExpertFolder;
let source: ExpertSource;

beforeEach(async () => {
  made = await makeExperts(2, 8);
  source = await fileSource(made.path);
});

afterEach(async () => {
  await source.close();
  await made.remove();
});

const open = (options: object = {}, from = source) =>
  new ExpertCache({ source: from, budgetBytes: 5 * SLOT, topK: 2, ...options });

/** A source whose reads end when the test says so. */
function held(): { source: ExpertSource; ends: (() => void)[]; fail: Set<number> } {
  const ends: (() => void)[] = [];
  const fail = new Set<number>();
  const read = async (record: ExpertRecord, into: Uint8Array) => {
    await new Promise<void>((end) => ends.push(end));
    if (fail.has(record.expert)) throw new Error(`expert ${record.expert} is lost`);
    await source.read(record, into);
  };
  return { source: { ...source, read }, ends, fail };
}

async function endAll(ends: (() => void)[]): Promise<void> {
  for (let i = 0; i < 20; i++) {
    for (const end of ends.splice(0)) end();
    await turn();
  }
}

test('gives the bytes of the experts asked for, read once while they stay', async () => {
  const cache = open();
  for (let round = 0; round < 2; round++) {
    const lease = await cache.acquire(1, [3, 0]);
    expect(lease.bytes).toEqual([expertBytes(1, 3), expertBytes(1, 0)]);
    lease.release();
  }
  const { hits, misses, bytesPaged } = cache.metrics.summary();
  expect({ hits, misses }).toEqual({ hits: 2, misses: 2 });
  expect(bytesPaged).toBe(expertBytes(1, 3).length + expertBytes(1, 0).length);
  expect([...cache.resident[1]!]).toEqual([1, 0, 0, 1, 0, 0, 0, 0]);
  await cache.close();
});

test('reads the precision asked for', async () => {
  const cache = open({ precision: 'uniform2' });
  expect(cache.acquireNow(0, [5]).bytes).toEqual([expertBytes(0, 5, 1)]);
  expect(() => open({ precision: 'int4' })).toThrow('Expected one of int8, uniform2 for precision');
});

test('refuses a budget below the experts of one token, telling how many bytes hold them', () => {
  expect(() => open({ budgetBytes: 4 * SLOT - 1 })).toThrow(`need ${4 * SLOT}`);
  expect(open({ budgetBytes: 4 * SLOT }).reservedBytes).toBe(4 * SLOT);
});

test('never holds more than its budget nor wrong bytes, whatever is asked for at the same time', async () => {
  const random = new Random(3);
  for (const policy of ['lru', 'lfu', 'affinity'] as const) {
    const cache = open({ policy });
    expect(cache.reservedBytes).toBeLessThanOrEqual(5 * SLOT);
    const user = async () => {
      for (let i = 0; i < 150; i++) {
        const layer = random.int(0, 1);
        const first = random.int(0, 7);
        const ids = [first, (first + random.int(1, 7)) % 8];
        if (random.chance(0.2)) cache.prefetch(1 - layer, [random.int(0, 7)]);
        const lease = random.chance(0.3) ? tryNow(cache, layer, ids) : await cache.acquire(layer, ids);
        if (!lease) continue;
        if (random.chance(0.5)) await turn();
        // Comparing typed arrays of this size is slow in the test runner.
        const right = ids.map((id, n) => Buffer.compare(lease.bytes[n]!, expertBytes(layer, id)));
        expect(right).toEqual([0, 0]);
        expect(cache.resident.flatMap((of) => [...of]).reduce((a, b) => a + b)).toBeLessThanOrEqual(5);
        lease.release();
        lease.release();
      }
    };
    await Promise.all([user(), user()]);
    const { hits, misses, evictions } = cache.metrics.summary();
    expect(hits + misses).toBeGreaterThan(400);
    expect(evictions).toBeGreaterThan(50);
    for (const of of cache.resident) expect([...of].every((flag) => flag === 0 || flag === 1)).toBe(true);
  }
});

/** Undefined where every slot is in use. */
function tryNow(cache: ExpertCache, layer: number, ids: number[]) {
  try {
    return cache.acquireNow(layer, ids);
  } catch (error) {
    expect((error as Error).message).toContain('slots for experts are in use');
    return undefined;
  }
}

test('an expert is resident only once it was read', async () => {
  const { source: slow, ends } = held();
  const cache = open({}, slow);
  const waiting = cache.acquire(0, [1]);
  await turn();
  expect(cache.resident[0]![1]).toBe(0);
  await endAll(ends);
  (await waiting).release();
  expect(cache.resident[0]![1]).toBe(1);
});

test('who finds every slot in use waits until one is released', async () => {
  const cache = open({ budgetBytes: 4 * SLOT });
  const first = await cache.acquire(0, [0, 1]);
  const second = await cache.acquire(1, [0, 1]);
  let done = false;
  const third = cache.acquire(0, [2, 3]).then((lease) => {
    done = true;
    return lease;
  });
  await turn();
  expect(done).toBe(false);
  expect(() => cache.acquireNow(0, [4])).toThrow('All 4 slots for experts are in use');
  first.release();
  expect((await third).bytes).toEqual([expertBytes(0, 2), expertBytes(0, 3)]);
  second.release();
});

test('a failed read is told to everyone who waits for it, and leaves the slot', async () => {
  const { source: slow, ends, fail } = held();
  const cache = open({}, slow);
  fail.add(1);
  const both = [cache.acquire(0, [1, 2]), cache.acquire(0, [1])].map((p) =>
    p.catch((error: Error) => error.message),
  );
  await turn();
  await endAll(ends);
  expect(await Promise.all(both)).toEqual(['expert 1 is lost', 'expert 1 is lost']);
  fail.clear();
  const again = cache.acquire(0, [1, 2, 3, 4, 5]);
  await turn();
  await endAll(ends);
  expect((await again).bytes[0]).toEqual(expertBytes(0, 1));
});

test('a read that fails while another expert waits for a slot is told too', async () => {
  const { source: slow, ends, fail } = held();
  const cache = open({ budgetBytes: 4 * SLOT }, slow);
  const leases = [cache.acquireNow(1, [0, 1]), cache.acquireNow(1, [2])];
  fail.add(1);
  const waiting = cache.acquire(0, [1, 2]).catch((error: Error) => error.message);
  await turn();
  await endAll(ends);
  for (const lease of leases) lease.release();
  await endAll(ends);
  expect(await waiting).toBe('expert 1 is lost');
  expect(cache.resident[0]![1]).toBe(0);
});

test('a blocking read that fails leaves its slot to the read that still writes it', async () => {
  const { source: slow, ends } = held();
  const readNow = (record: ExpertRecord, into: Uint8Array) => {
    if (record.layer === 0 && record.expert === 0) throw new Error('expert 0 is lost');
    source.readNow!(record, into);
  };
  const cache = open({ budgetBytes: 4 * SLOT }, { ...slow, readNow });
  cache.prefetch(0, [0]);
  expect(() => cache.acquireNow(0, [0])).toThrow('expert 0 is lost');
  const lease = cache.acquireNow(1, [1, 2, 3]);
  expect(() => cache.acquireNow(1, [4])).toThrow('All 4 slots for experts are in use');
  await endAll(ends);
  expect(lease.bytes).toEqual([1, 2, 3].map((expert) => expertBytes(1, expert)));
  // The disk may take its time.
  while (cache.resident[0]![0] !== 1) await turn();
});

test('reads ahead within its limit, and evicts nothing in use for it', async () => {
  const cache = open({ budgetBytes: 4 * SLOT, speculativeBytes: 2 * SLOT });
  const lease = await cache.acquire(0, [0, 1, 2]);
  cache.prefetch(1, [5, 6, 7]);
  await endAll([]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([...cache.resident[0]!].slice(0, 3)).toEqual([1, 1, 1]);
  expect(cache.resident[1]!.reduce((a, b) => a + b)).toBe(1);
  lease.release();
  (await cache.acquire(1, [5])).release();
  const { prefetch, hits } = cache.metrics.summary();
  expect(prefetch).toMatchObject({ issued: 1, used: 1, wasted: 0, precision: 1 });
  expect(hits).toBe(1);
});

test('what was read ahead and evicted unused counts as wasted', async () => {
  const cache = open({ budgetBytes: 4 * SLOT });
  cache.prefetch(1, [7]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  (await cache.acquire(0, [0, 1, 2, 3])).release();
  expect(cache.metrics.summary().prefetch).toMatchObject({ issued: 1, used: 0, wasted: 1, precision: 0 });
});

test('reading past the page cache gives the same bytes, or says that the file system cannot', async () => {
  const direct = await openDirect(made.path);
  if (!direct) return;
  const cache = open({}, direct);
  for (let expert = 0; expert < 8; expert++) {
    const lease = await cache.acquire(1, [expert]);
    expect(lease.bytes).toEqual([expertBytes(1, expert)]);
    lease.release();
    cache.acquireNow(0, [expert]).release();
  }
  await cache.close();
});

test.each([
  [2, [0], 'layer'],
  [0, [8], 'expert'],
  [0, [1.5], 'expert'],
])('refuses layer %s, experts %j', async (layer, ids, name) => {
  await expect(open().acquire(layer, ids)).rejects.toThrow(`for ${name}`);
});

test('a closed cache says so', async () => {
  const cache = open();
  await cache.close();
  await expect(cache.acquire(0, [0])).rejects.toThrow('were closed');
});
