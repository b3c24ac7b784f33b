import { MinMaxObserver } from './min-max';
import type { Observer } from './observer';

const BINS = 8192;

/**
 * Bounds that leave out a share of the values at either end, from a streaming histogram.
 *
 * The histogram covers [low, low + BINS * width). A value beyond it doubles the width, towards its side, by adding
 * neighbouring bins: counts stay exact, and a bin is at most twice as wide as the final range needs. Zeros are left out
 * of the count, so that a rectified tensor, mostly zeros, is not clipped more than one that is not.
 *
 * @see Wu et al. 2020, "Integer quantization for deep learning inference", section 3.2 (percentile calibration)
 */
export class PercentileObserver implements Observer {
  private readonly bounds = new MinMaxObserver();
  private counts = new Float64Array(BINS);
  private low = 0;
  private width = 0;
  private total = 0;

  /** @param percentile share of values to keep between zero and either bound, in percent, for example 99.99 */
  constructor(private readonly percentile: number) {}

  observe(values: Float32Array): void {
    this.bounds.observe(values);
    const range = this.bounds.range();
    if (!range) return;
    this.cover(range.min, range.max);
    for (const value of values) {
      if (value === 0) continue;
      this.counts[Math.floor((value - this.low) / this.width)]++;
      this.total++;
    }
  }

  private cover(min: number, max: number): void {
    if (this.width === 0) {
      if (min === max && min === 0) return;
      this.low = Math.min(min, 0);
      this.width = ((Math.max(max, 0) - this.low) / BINS) * (1 + 1e-6);
    }
    while (min < this.low) this.double(-1);
    while (max >= this.low + this.width * BINS) this.double(1);
  }

  private double(side: 1 | -1): void {
    const merged = new Float64Array(BINS);
    const offset = side < 0 ? BINS / 2 : 0;
    for (let i = 0; i < BINS; i++) merged[offset + (i >> 1)] += this.counts[i];
    if (side < 0) this.low -= this.width * BINS;
    this.width *= 2;
    this.counts = merged;
  }

  range() {
    const bounds = this.bounds.range();
    if (!bounds || this.total === 0) return bounds;
    const outside = this.total * (1 - this.percentile / 100);
    return {
      min: Math.max(bounds.min, this.low + this.width * this.binsWithin(outside, 0, 1)),
      max: Math.min(bounds.max, this.low + this.width * (BINS - this.binsWithin(outside, BINS - 1, -1))),
    };
  }

  /** How many bins, with a fraction, hold this many values, counted from one end. */
  private binsWithin(outside: number, start: number, step: 1 | -1): number {
    let left = outside;
    for (let bins = 0; bins < BINS; bins++) {
      const count = this.counts[start + step * bins];
      if (count > left) return bins + left / count;
      left -= count;
    }
    return BINS;
  }
}
