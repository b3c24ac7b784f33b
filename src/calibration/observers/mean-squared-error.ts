import type { Range } from '../../quantization/affine';
import { Histogram } from './histogram';
import type { Observer } from './observer';

/** Bounds are sought at this many fractions of the observed ones. */
const FRACTIONS = 64;

/** Steps of the affine code. */
const STEPS = 255;

/**
 * Bounds with the least expected squared error between a value and its code.
 *
 * A narrower range has finer steps and clips more. For bounds [a, b] with steps s = (b - a) / 255, the error is
 * s^2 / 12 for each value inside and its squared distance to the bound for each outside; every pair of fractions of the
 * observed bounds is tried.
 *
 * @see Nagel et al. 2021, "A white paper on neural network quantization", section 3.1 (range by mean squared error)
 */
export class MeanSquaredErrorObserver implements Observer {
  private readonly histogram = new Histogram();

  observe(values: Float32Array): void {
    this.histogram.add(values);
  }

  range() {
    const { range, low, width, counts } = this.histogram;
    if (!range || width === 0) return range;
    const centre = (bin: number) => low + width * (bin + 0.5);
    const below = clippedError(counts, centre, Math.min(range.min, 0));
    const above = clippedError(
      counts.toReversed(),
      (bin) => centre(counts.length - 1 - bin),
      Math.max(range.max, 0),
    );
    const total = counts.reduce((sum, count) => sum + count, 0);
    let best: Range = range;
    let leastError = Number.POSITIVE_INFINITY;
    for (const min of below) {
      for (const max of above) {
        const step = (max.bound - min.bound) / STEPS;
        if (step === 0) continue;
        const error = min.error + max.error + ((total - min.clipped - max.clipped) * step ** 2) / 12;
        if (error < leastError) {
          leastError = error;
          best = { min: min.bound, max: max.bound };
        }
      }
    }
    return best;
  }
}

interface Clip {
  readonly bound: number;
  /** Values beyond the bound. */
  readonly clipped: number;
  /** Sum of their squared distances to it. */
  readonly error: number;
}

/** What clipping at each fraction of an observed bound costs. Bins come from that bound inwards. */
function clippedError(counts: Float64Array, centre: (bin: number) => number, observed: number): Clip[] {
  const clips: Clip[] = [];
  let [bin, clipped, sum, squares] = [0, 0, 0, 0];
  for (let i = FRACTIONS; i > 0; i--) {
    const bound = (observed * i) / FRACTIONS;
    for (
      ;
      bin < counts.length && Math.abs(centre(bin)) > Math.abs(bound) && centre(bin) * observed > 0;
      bin++
    ) {
      clipped += counts[bin];
      sum += counts[bin] * centre(bin);
      squares += counts[bin] * centre(bin) ** 2;
    }
    clips.push({ bound, clipped, error: squares - 2 * bound * sum + bound ** 2 * clipped });
    if (observed === 0) break;
  }
  return clips;
}
