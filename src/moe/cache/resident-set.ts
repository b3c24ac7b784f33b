import { LowbitError } from '../../errors';
import type { EvictionPolicy } from './eviction-policy';

/** Which experts are in memory, within a budget of bytes; holds no weights. */
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

  /** A use of an expert that is resident. */
  touch(key: number): void {
    this.policy.used(key);
  }

  /**
   * Takes an expert in and evicts what has to go for it.
   *
   * @param isPinned experts that stay
   * @returns what was evicted
   * @throws LowbitError 'invalid-argument' if the budget does not hold the expert beside the pinned ones
   */
  admit(key: number, isPinned: (key: number) => boolean): number[] {
    const evicted: number[] = [];
    const needed = this.bytesOf(key);
    while (this.bytes + needed > this.budget) {
      const victim = this.victim(isPinned);
      if (victim === undefined) {
        throw new LowbitError(
          'invalid-argument',
          `A budget of ${this.budget} bytes does not hold an expert of ${needed} bytes beside the ` +
            `${this.bytes} bytes in use at the same time.`,
        );
      }
      this.remove(victim);
      evicted.push(victim);
    }
    this.residents.add(key);
    this.bytes += needed;
    this.policy.used(key);
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
