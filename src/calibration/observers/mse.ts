import type { Range } from '../../quantization/affine';
import type { Bins } from './histogram';
import { SearchingObserver } from './searching';

const STEPS = 255;

/** Sums over all bins below an edge, by edge: of counts, of values and of squares. */
function prefixSums({ low, width, counts }: Bins) {
  const edges = counts.length + 1;
  const [count, first, second] = [0, 0, 0].map(() => new Float64Array(edges));
  counts.forEach((n, i) => {
    const centre = low + (i + 0.5) * width;
    count[i + 1] = count[i] + n;
    first[i + 1] = first[i] + n * centre;
    second[i + 1] = second[i] + n * centre ** 2;
  });
  return { count, first, second };
}

/**
 * Finds the bounds with the least squared error of affine INT8 codes, among all pairs of edges of bins.
 *
 * The error is that of rounding, step^2 / 12 a value within the bounds, and that of clipping, the squared distance to the
 * bound of a value beyond. With running sums of counts, values and squares every pair costs a few operations.
 *
 * @param bins histogram of the non-zero values (zero has no error), zero among the edges or the bins; a value counts as
 *   the centre of its bin
 * @see Banner et al. 2019, "Post training 4-bit quantization of convolutional networks for rapid-deployment", section 3
 *   (clipping and rounding noise), evaluated on the histogram instead of a fitted distribution
 */
export function leastSquaresRange(bins: Bins): Range {
  const { low, width, counts } = bins;
  const { count, first, second } = prefixSums(bins);
  const last = counts.length;
  const edge = (i: number) => low + i * width;
  const clipped = (bound: number, n: number, sum: number, squares: number) =>
    squares - 2 * bound * sum + bound ** 2 * n;
  let best = { error: Number.POSITIVE_INFINITY, min: 0, max: 0 };
  for (let i = 0; i < last && edge(i) <= 0; i++) {
    const below = clipped(edge(i), count[i], first[i], second[i]);
    for (let j = last; j > i && edge(j) >= 0; j--) {
      const rounding = (((edge(j) - edge(i)) / STEPS) ** 2 / 12) * (count[j] - count[i]);
      const above = clipped(
        edge(j),
        count[last] - count[j],
        first[last] - first[j],
        second[last] - second[j],
      );
      const error = rounding + below + above;
      if (error < best.error) best = { error, min: edge(i), max: edge(j) };
    }
  }
  return { min: best.min, max: best.max };
}

/** Bounds with the least squared error of the codes over all values seen. */
export class MseObserver extends SearchingObserver {
  constructor() {
    super(leastSquaresRange);
  }
}
