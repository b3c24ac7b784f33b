/** Eviction policies: the resident expert of lowest worth is evicted. Keys of experts: layer * experts + id. */
import { checkArgument } from '../../base/errors';
import type { ExpertAffinity } from '../affinity';

export interface EvictionPolicy {
  /** Called for every use of an expert, in order. */
  used(key: number): void;
  /** The resident expert of lowest worth is evicted; of equal ones, the lowest key. */
  worth(key: number): number;
}

/** Least recently used. */
export class LeastRecentlyUsed implements EvictionPolicy {
  private tick = 0;
  private readonly last = new Map<number, number>();

  used(key: number): void {
    this.last.set(key, ++this.tick);
  }

  worth(key: number): number {
    return this.last.get(key) ?? 0;
  }
}

/** Least frequently used; counts are halved every `period` uses, so that old popularity fades. */
export class LeastFrequentlyUsed implements EvictionPolicy {
  private uses = 0;
  private readonly counts = new Map<number, number>();

  constructor(private readonly period: number) {}

  used(key: number): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    if (++this.uses % this.period !== 0) return;
    for (const [other, count] of this.counts) this.counts.set(other, count / 2);
  }

  worth(key: number): number {
    return this.counts.get(key) ?? 0;
  }
}

/**
 * Combines affinity and recency. Both are rates of use: affinity over the window of its average, recency over the time
 * since the last use. worth = (1 - weight) / uses since the last one + weight * affinity.
 */
export class AffinityWeighted implements EvictionPolicy {
  private tick = 0;
  private readonly last = new Map<number, number>();

  /** @param affinity updated by the caller, who routes */
  constructor(
    private readonly affinity: ExpertAffinity,
    private readonly weight = 0.5,
  ) {}

  used(key: number): void {
    this.last.set(key, ++this.tick);
  }

  worth(key: number): number {
    const { experts, layers } = this.affinity;
    // Each layer is used about once in `layers` uses.
    const age = (this.tick - (this.last.get(key) ?? Number.NEGATIVE_INFINITY)) / layers + 1;
    const affinity = this.affinity.of(Math.floor(key / experts), key % experts);
    return (1 - this.weight) / age + this.weight * affinity;
  }
}

/**
 * The optimal offline policy for a known sequence: evicts the expert whose next use is furthest away.
 *
 * @see Belady 1966, "A study of replacement algorithms for virtual-storage computer"
 */
export class Belady implements EvictionPolicy {
  /** For each expert the positions of its uses, the next one last. */
  private readonly uses = new Map<number, number[]>();

  constructor(sequence: readonly number[]) {
    for (let i = sequence.length - 1; i >= 0; i--) {
      const uses = this.uses.get(sequence[i]);
      if (uses) uses.push(i);
      else this.uses.set(sequence[i], [i]);
    }
  }

  used(key: number): void {
    this.uses.get(key)!.pop();
  }

  worth(key: number): number {
    return -(this.uses.get(key)?.at(-1) ?? Number.POSITIVE_INFINITY);
  }
}

/** Policies that need no knowledge of future uses. */
export const ONLINE_POLICIES = ['lru', 'lfu', 'affinity'] as const;
export type OnlinePolicy = (typeof ONLINE_POLICIES)[number];

const AGEING_TOKENS = 64;

/**
 * Makes a policy by its name.
 *
 * @param affinity of the experts, updated by the caller, who routes
 * @param topK experts that one token uses in a layer
 * @throws LowbitError 'invalid-argument' for another name
 */
export function makePolicy(name: OnlinePolicy, affinity: ExpertAffinity, topK: number): EvictionPolicy {
  const policies: Record<OnlinePolicy, () => EvictionPolicy> = {
    lru: () => new LeastRecentlyUsed(),
    lfu: () => new LeastFrequentlyUsed(AGEING_TOKENS * affinity.layers * topK),
    affinity: () => new AffinityWeighted(affinity),
  };
  checkArgument(ONLINE_POLICIES.includes(name), 'policy', `one of ${ONLINE_POLICIES.join(', ')}`, name);
  return policies[name]();
}
