/** Seeded random numbers for tests: the same seed draws the same cases, and a failure prints how to draw it again. */

const DEFAULT_SEED = 20240607;

/** The seed of this run: `LOWBIT_TEST_SEED` or a fixed one. */
export const TEST_SEED = Number(process.env.LOWBIT_TEST_SEED ?? DEFAULT_SEED);

/** Cases of each series at most: `LOWBIT_TEST_CASES`. */
const MOST_CASES = Number(process.env.LOWBIT_TEST_CASES ?? Number.POSITIVE_INFINITY);

/** Mulberry32: 32 bits of state, one multiply-xorshift chain a number; good enough to draw shapes and codes. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** In [0, 1). */
  unit(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [min, max]. */
  int(min: number, max: number): number {
    return min + Math.floor(this.unit() * (max - min + 1));
  }

  /** A real number in [min, max). */
  real(min: number, max: number): number {
    return min + this.unit() * (max - min);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length - 1)]!;
  }

  /** `count` integers in [min, max]. */
  ints(count: number, min: number, max: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.int(min, max));
  }
}

/**
 * Runs `check` on `count` cases, each with random numbers of its own.
 *
 * @param label tells one series of cases from another, so that two series do not draw the same numbers
 * @returns how many cases were run: `count`, or fewer where the environment says so
 * @throws what `check` throws, with the seed and the case in front of its message
 */
export async function forEachCase(
  label: string,
  count: number,
  check: (random: Random, index: number) => void | Promise<void>,
): Promise<number> {
  const cases = Math.min(count, MOST_CASES);
  for (let index = 0; index < cases; ++index) {
    try {
      await check(randomOf(label, index), index);
    } catch (error) {
      const where = `${label}, case ${index} of LOWBIT_TEST_SEED=${TEST_SEED}`;
      if (error instanceof Error) error.message = `${where}: ${error.message}`;
      throw error;
    }
  }
  return cases;
}

/** The random numbers of one case of a series: FNV-1a of label and index, mixed with the seed. */
export function randomOf(label: string, index: number): Random {
  let hash = 0x811c9dc5;
  for (const character of `${label}:${index}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  return new Random(hash ^ TEST_SEED);
}
