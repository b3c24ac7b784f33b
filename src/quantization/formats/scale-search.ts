/**
 * The scale of a group with the least squared error, exactly.
 *
 * For given codes, levels l and weights h of the error, sum h (w - s l)^2 is least at s = A / B with A = sum h w l and
 * B = sum h l^2, and is then sum h w^2 - A^2 / B. So the best codes maximise A^2 / B. They are nearest levels for some s,
 * and as s falls from infinity to 0 the nearest levels change once a weight and threshold, at s = |w| / t. Visiting
 * these breakpoints in order, A and B are kept up to date by one addition each.
 */

// Bound here: in a sandbox, such as a test's, globals are slow to look up.
const { abs } = Math;

/** What the codebook offers the weights of one sign, seen as magnitudes. */
interface Side {
  /** Ascending, positive: where |w| / s passes the next one, the next level is nearer. */
  thresholds: number[];
  /** One more than thresholds, the nearest to zero first. */
  levels: number[];
}

/** @param levels ascending */
function positiveSide(levels: readonly number[]): Side {
  const thresholds = levels.slice(1).map((level, i) => (level + levels[i]) / 2);
  const first = thresholds.filter((t) => t <= 0).length;
  return { thresholds: thresholds.slice(first), levels: levels.slice(first) };
}

function sidesOf(levels: readonly number[]): { positive: Side; negative: Side } {
  const mirrored = levels.map((level) => -level).reverse();
  const positive = positiveSide(levels);
  const symmetric = mirrored.every((level, i) => level === levels[i]);
  return { positive, negative: symmetric ? positive : positiveSide(mirrored) };
}

/** Magnitudes |w| of one side in descending order, with h and h |w| of each. */
class SortedWeights {
  /** |w| of a float32 leaves the low 29 bits of a float64 free: the index goes there, and is sorted along. */
  private readonly keys: Float64Array;
  private readonly words: Uint32Array;
  readonly magnitudes: Float64Array;
  readonly errorWeights: Float64Array;
  readonly products: Float64Array;
  weightSum = 0;
  productSum = 0;
  count = 0;

  constructor(largest: number) {
    this.keys = new Float64Array(largest);
    this.words = new Uint32Array(this.keys.buffer);
    this.magnitudes = new Float64Array(largest);
    this.errorWeights = new Float64Array(largest);
    this.products = new Float64Array(largest);
  }

  clear(): void {
    this.count = 0;
  }

  add(magnitude: number, index: number): void {
    this.keys[this.count] = magnitude;
    this.words[2 * this.count] |= index;
    this.count++;
  }

  sort(values: Float32Array, importance: Float64Array): void {
    const { count, keys, words, magnitudes, errorWeights, products } = this;
    keys.subarray(0, count).sort();
    this.weightSum = 0;
    this.productSum = 0;
    for (let i = 0; i < count; i++) {
      const index = words[2 * (count - 1 - i)] & INDEX_MASK;
      magnitudes[i] = abs(values[index]);
      errorWeights[i] = importance[index];
      products[i] = errorWeights[i] * magnitudes[i];
      this.weightSum += errorWeights[i];
      this.productSum += products[i];
    }
  }
}

const INDEX_MASK = 2 ** 29 - 1;

/** A threshold of a side and how far down the sorted weights it has been passed. */
interface Track {
  sorted: SortedWeights;
  inverse: number;
  levelStep: number;
  squareStep: number;
}

function tracksOf({ thresholds, levels }: Side, sorted: SortedWeights): Track[] {
  return thresholds.map((threshold, i) => ({
    sorted,
    inverse: 1 / threshold,
    levelStep: levels[i + 1] - levels[i],
    squareStep: levels[i + 1] ** 2 - levels[i] ** 2,
  }));
}

export class ScaleSearch {
  private readonly sides: { positive: Side; negative: Side };
  private readonly above: SortedWeights;
  private readonly below: SortedWeights;
  private readonly tracks: Track[];
  private readonly passed: Int32Array;
  private readonly next: Float64Array;

  /**
   * @param levels of the codebook, ascending
   * @param largest weights of the largest group
   */
  constructor(levels: readonly number[], largest: number) {
    this.sides = sidesOf(levels);
    this.above = new SortedWeights(largest);
    const { positive, negative } = this.sides;
    this.below = positive === negative ? this.above : new SortedWeights(largest);
    this.tracks = tracksOf(positive, this.above);
    if (positive !== negative) this.tracks.push(...tracksOf(negative, this.below));
    this.passed = new Int32Array(this.tracks.length);
    this.next = new Float64Array(this.tracks.length);
  }

  /**
   * @param values of the group
   * @param importance h of each, positive
   * @returns s > 0 with the least sum h (w - s l)^2; 0 if every weight is zero, or no positive s serves
   */
  find(values: Float32Array, importance: Float64Array): number {
    const { above, below, sides, tracks, passed, next } = this;
    this.sort(values, importance);
    const [nearest, opposite] = [sides.positive.levels[0], below === above ? 0 : sides.negative.levels[0]];
    let products = above.productSum * nearest + below.productSum * opposite;
    let squares = above.weightSum * nearest ** 2 + below.weightSum * opposite ** 2;
    for (let t = 0; t < tracks.length; t++) {
      const { sorted, inverse } = tracks[t];
      passed[t] = 0;
      next[t] = sorted.count > 0 ? sorted.magnitudes[0] * inverse : 0;
    }
    let best = squares > 0 && products > 0 ? (products * products) / squares : 0;
    let scale = best > 0 ? products / squares : 0;
    for (;;) {
      let t = 0; // the track whose breakpoint comes next
      for (let other = 1; other < tracks.length; other++) if (next[other] > next[t]) t = other;
      if (next[t] === 0) break;
      const { sorted, inverse, levelStep, squareStep } = tracks[t];
      const i = passed[t]++;
      products += sorted.products[i] * levelStep;
      squares += sorted.errorWeights[i] * squareStep;
      next[t] = i + 1 < sorted.count ? sorted.magnitudes[i + 1] * inverse : 0;
      if (products > 0 && squares > 0 && products * products > best * squares) {
        best = (products * products) / squares;
        scale = products / squares;
      }
    }
    return scale;
  }

  private sort(values: Float32Array, importance: Float64Array): void {
    const { above, below } = this;
    above.clear();
    below.clear();
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      (value < 0 ? below : above).add(abs(value), i);
    }
    above.sort(values, importance);
    if (below !== above) below.sort(values, importance);
  }
}
