import type { Range } from '../../quantization/affine';
import { Histogram } from './histogram';
import type { Observer } from './observer';

/**
 * Bounds that leave out a share of the non-zero values at either end.
 *
 * @see Wu et al. 2020, "Integer quantization for deep learning inference", section 3.2 (percentile calibration)
 */
export class PercentileObserver implements Observer {
  /**
   * @param percentile share of the values that either bound keeps, in percent, for example 99.99
   * @param histogram of values that were seen before
   */
  constructor(
    private readonly percentile: number,
    private readonly histogram = new Histogram(),
  ) {}

  observe(values: Float32Array, bounds?: Range): void {
    this.histogram.add(values, bounds);
  }

  range() {
    const { range, low, width, counts } = this.histogram;
    if (!range || width === 0) return range;
    const outside = counts.reduce((sum, count) => sum + count, 0) * (1 - this.percentile / 100);
    return this.histogram.clip({
      min: low + width * binsHolding(outside, counts),
      max: low + width * (counts.length - binsHolding(outside, counts.toReversed())),
    });
  }
}

/** How many bins, with a fraction of the last, hold this many values. */
function binsHolding(values: number, counts: Float64Array): number {
  let left = values;
  const full = counts.findIndex((count) => {
    if (count > left) return true;
    left -= count;
    return false;
  });
  return full < 0 ? counts.length : full + left / counts[full];
}
