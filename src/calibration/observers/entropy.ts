import type { Range } from '../../quantization/affine';
import type { Bins } from './histogram';
import { SearchingObserver } from './searching';

const CODES = 256;

const xLogX = (x: number) => (x > 0 ? x * Math.log(x) : 0);

/** Sums of f(count) over all bins below an edge, by edge. */
function prefixSums(counts: Float64Array, f: (count: number) => number): Float64Array {
  const sums = new Float64Array(counts.length + 1);
  counts.forEach((count, i) => {
    sums[i + 1] = sums[i] + f(count);
  });
  return sums;
}

/** Divergences of a histogram from its forms in few codes; running sums make each cost a few operations a code. */
class Divergences {
  private readonly mass: Float64Array;
  private readonly occupied: Float64Array;
  private readonly entropy: Float64Array;

  constructor(
    private readonly counts: Float64Array,
    private readonly codes: number,
  ) {
    this.mass = prefixSums(counts, (count) => count);
    this.occupied = prefixSums(counts, (count) => (count > 0 ? 1 : 0));
    this.entropy = prefixSums(counts, xLogX);
  }

  /**
   * The divergence sum p log(p / q) of the histogram cut to bins [start, end); infinite where a code without values inside the
   * range would represent values outside.
   *
   * p: the counts, those beyond added to the outermost bins. q: the counts within, averaged over the bins that share a
   * code and where p is not zero. Both are normalized. As q is one number for all bins of a code, the sum is
   * sum p log p - sum over codes of (sum p) log q.
   */
  of(start: number, end: number): number {
    const { counts, codes, mass, occupied, entropy } = this;
    const all = mass[counts.length];
    const within = mass[end] - mass[start];
    const [below, above] = [mass[start], all - mass[end]];
    const [first, last] = [counts[start], counts[end - 1]];
    let sum = entropy[end] - entropy[start];
    sum += xLogX(first + below) - xLogX(first) + xLogX(last + above) - xLogX(last);
    let from = start;
    for (let code = 0; code < codes; code++) {
      const to = start + Math.ceil(((code + 1) * (end - start)) / codes);
      const inside = mass[to] - mass[from];
      let reference = inside;
      let bins = occupied[to] - occupied[from];
      if (code === 0 && below > 0) {
        reference += below;
        if (first === 0) bins++;
      }
      if (code === codes - 1 && above > 0) {
        reference += above;
        if (last === 0) bins++;
      }
      if (reference > 0 && inside === 0) return Number.POSITIVE_INFINITY;
      if (reference > 0) sum -= reference * Math.log(inside / bins / within);
      from = to;
    }
    return sum / all - Math.log(all);
  }
}

/**
 * Finds the threshold T whose range [-T, T], cut to the observed one, loses the least information: the smallest
 * Kullback-Leibler divergence of the distribution from its form in `codes` codes.
 *
 * @param bins histogram of the non-zero values, zero within its bounds; a range has at least one bin a code
 * @see Migacz 2017, "8-bit inference with TensorRT" (a one-sided range); ONNX Runtime's entropy calibration (both sides)
 */
export function leastDivergenceRange({ low, width, counts }: Bins, codes = CODES): Range {
  const zero = Math.round(-low / width);
  const reach = Math.max(zero, counts.length - zero);
  const divergences = new Divergences(counts, codes);
  let best = { divergence: Number.POSITIVE_INFINITY, start: 0, end: counts.length };
  for (let threshold = reach; threshold > 0; threshold--) {
    const start = Math.max(0, zero - threshold);
    const end = Math.min(counts.length, zero + threshold);
    if (end - start < codes) break;
    const found = divergences.of(start, end);
    if (found < best.divergence) best = { divergence: found, start, end };
  }
  return { min: low + best.start * width, max: low + best.end * width };
}

/** Bounds that keep the most information about the values seen, by relative entropy. */
export class EntropyObserver extends SearchingObserver {
  constructor() {
    super(leastDivergenceRange);
  }
}
