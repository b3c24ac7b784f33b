import type { EvictionPolicy } from './eviction-policy';

/** The set of experts in memory, within a budget of bytes; holds no weights. */
export class ResidentSet {
  private readonly residents = new Set<number>();
  private bytes = 0;

  /**
   * @param budget in bytes
   * @param bytesOf of an expert, by key
   */
  constructor(
    readonly budget: number,
    private readonly bytesOf: (key: number) => number,
    private readonly policy: EvictionPolicy,
  ) {}

  has(key: number): boolean {
    return this.residents.has(key);
  }

  get usedBytes(): number {
    return this.bytes;
  }

  keys(): Iterable<number> {
    return this.residents;
  }

  /** Records a use of an expert. */
  touch(key: number): void {
    this.policy.used(key);
  }

  /**
   * Admits an expert and evicts others to make room.
   *
   * @param isPinned experts that stay
   * @returns the evicted experts, or undefined if the pinned ones leave no room; then none is evicted
   */
  tryAdmit(key: number, isPinned: (key: number) => boolean): number[] | undefined {
    const evicted: number[] = [];
    const needed = this.bytesOf(key);
    let freed = 0;
    while (this.bytes - freed + needed > this.budget) {
      const victim = this.victim((other) => isPinned(other) || evicted.includes(other));
      if (victim === undefined) return undefined;
      evicted.push(victim);
      freed += this.bytesOf(victim);
    }
    for (const victim of evicted) this.remove(victim);
    this.residents.add(key);
    this.bytes += needed;
    return evicted;
  }

  remove(key: number): void {
    if (this.residents.delete(key)) this.bytes -= this.bytesOf(key);
  }

  private victim(isPinned: (key: number) => boolean): number | undefined {
    let victim: number | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const key of this.residents) {
      if (isPinned(key)) continue;
      const worth = this.policy.worth(key);
      if (victim === undefined || worth < least || (worth === least && key < victim)) {
        victim = key;
        least = worth;
      }
    }
    return victim;
  }
}
