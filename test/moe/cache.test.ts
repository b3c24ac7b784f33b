import { ExpertAffinity } from '../../src/moe/affinity';
import {
  AffinityWeighted,
  Belady,
  type EvictionPolicy,
  LeastFrequentlyUsed,
  LeastRecentlyUsed,
} from '../../src/moe/cache/eviction-policy';
import { ResidentSet } from '../../src/moe/cache/resident-set';
import { forEachCase } from '../support/random';

const nothingPinned = () => false;

/** Uses an expert; what was evicted if it was not there. */
function use(cache: ResidentSet, key: number): number[] | undefined {
  cache.touch(key);
  return cache.has(key) ? undefined : cache.tryAdmit(key, nothingPinned);
}

/** Uses keys one after the other; the misses. */
function replay(sequence: readonly number[], slots: number, policy: EvictionPolicy): number {
  const cache = new ResidentSet(slots, () => 1, policy);
  let misses = 0;
  for (const key of sequence) {
    if (use(cache, key)) misses++;
  }
  return misses;
}

/** The fewest misses of any choice of victims, by trying them all. */
function fewestMisses(sequence: readonly number[], slots: number): number {
  let states = new Map<string, number>([['', 0]]);
  for (const key of sequence) {
    const next = new Map<string, number>();
    const reach = (residents: string[], misses: number) => {
      const name = residents.sort().join();
      if (misses < (next.get(name) ?? Number.POSITIVE_INFINITY)) next.set(name, misses);
    };
    for (const [name, misses] of states) {
      const residents = name === '' ? [] : name.split(',');
      const wanted = String(key);
      if (residents.includes(wanted)) reach(residents, misses);
      else if (residents.length < slots) reach([...residents, wanted], misses + 1);
      else
        for (const victim of residents) reach([...residents.filter((r) => r !== victim), wanted], misses + 1);
    }
    states = next;
  }
  return Math.min(...states.values());
}

test('evicts the least recently used', () => {
  const cache = new ResidentSet(2, () => 1, new LeastRecentlyUsed());
  for (const key of [1, 2, 1]) use(cache, key);
  expect(use(cache, 3)).toEqual([2]);
  expect([...cache.keys()].sort()).toEqual([1, 3]);
});

test('evicts the least frequently used, and forgets old popularity', () => {
  const policy = new LeastFrequentlyUsed(8);
  const cache = new ResidentSet(2, () => 1, policy);
  for (const key of [1, 1, 1, 2]) use(cache, key);
  expect(use(cache, 3)).toEqual([2]);
  for (let i = 0; i < 40; i++) cache.touch(3);
  expect(use(cache, 2)).toEqual([1]);
});

test('with affinity, keeps what is used often over what was used last', () => {
  const affinity = new ExpertAffinity(1, 4, 0.9);
  const cache = new ResidentSet(2, () => 1, new AffinityWeighted(affinity, 0.9));
  const useOne = (key: number) => {
    affinity.update(0, [key]);
    return use(cache, key);
  };
  for (const key of [0, 0, 0, 0, 0, 1]) useOne(key);
  expect(useOne(2)).toEqual([1]);
});

test('no policy misses less often than Belady’s, which misses as seldom as can be', () =>
  forEachCase('Belady', 60, (random) => {
    const experts = random.int(3, 6);
    const slots = random.int(1, 3);
    const sequence = [...random.ints(random.int(1, 16), 0, experts - 1)];
    const best = replay(sequence, slots, new Belady(sequence));
    expect(best).toBe(fewestMisses(sequence, slots));
    expect(best).toBeLessThanOrEqual(replay(sequence, slots, new LeastRecentlyUsed()));
    expect(best).toBeLessThanOrEqual(replay(sequence, slots, new LeastFrequentlyUsed(8)));
  }));

test('stays within its budget of bytes, and keeps what is pinned', () =>
  forEachCase('budget', 100, (random) => {
    const bytesOf = (key: number) => 10 + ((key * 37) % 50);
    const cache = new ResidentSet(200, bytesOf, new LeastRecentlyUsed());
    for (let i = 0; i < 100; i++) {
      const pinned = random.int(0, 19);
      const key = random.int(0, 19);
      if (cache.has(key)) continue;
      const held = cache.has(pinned);
      expect(cache.tryAdmit(key, (other) => other === pinned)).toBeDefined();
      expect(cache.usedBytes).toBeLessThanOrEqual(200);
      expect(cache.usedBytes).toBe([...cache.keys()].reduce((sum, k) => sum + bytesOf(k), 0));
      if (held) expect(cache.has(pinned)).toBe(true);
    }
  }));

test('refuses an expert that finds no room beside the pinned ones', () => {
  const cache = new ResidentSet(100, () => 60, new LeastRecentlyUsed());
  use(cache, 0);
  expect(cache.tryAdmit(1, (key) => key === 0)).toBeUndefined();
  expect(cache.has(0)).toBe(true);
});
