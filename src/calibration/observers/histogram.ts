import type { Range } from '../../quantization/affine';
import { boundsOf } from './bounds';

const BINS = 8192;

/** Counts of values in bins of one width: bin i covers [low + i * width, low + (i + 1) * width). */
export interface Bins {
  readonly low: number;
  readonly width: number;
  readonly counts: Float64Array;
}

/**
 * Counts of the non-zero values seen, in equal bins whose range grows.
 *
 * The histogram covers [low, low + bins * width), zero included. A value beyond it doubles the width towards its side by
 * adding neighbouring bins: counts stay exact, and the bins stay at least half as fine as the final range allows.
 * Zeros are left out: they are exact in any affine code, and a rectified tensor is mostly zeros.
 */
export class Histogram {
  private bins = new Float64Array(BINS);
  private origin = 0;
  private binWidth = 0;
  private min = Number.POSITIVE_INFINITY;
  private max = Number.NEGATIVE_INFINITY;

  /** @param values finite numbers, between these bounds */
  add(values: Float32Array, { min, max }: Range = boundsOf(values)): void {
    if (values.length === 0) return;
    this.min = Math.min(this.min, min);
    this.max = Math.max(this.max, max);
    this.cover();
    const { bins, origin } = this;
    const perUnit = this.binWidth === 0 ? 0 : 1 / this.binWidth;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === 0) continue;
      const bin = ((value - origin) * perUnit) | 0;
      bins[bin < BINS ? bin : BINS - 1]++;
    }
  }

  private cover(): void {
    if (this.binWidth === 0) {
      this.origin = Math.min(this.min, 0);
      this.binWidth = (Math.max(this.max, 0) - this.origin) / BINS;
    }
    if (this.binWidth === 0) return;
    while (this.min < this.origin) this.double(-1);
    while (this.max > this.origin + this.binWidth * BINS) this.double(1);
  }

  private double(side: 1 | -1): void {
    const merged = new Float64Array(BINS);
    const offset = side < 0 ? BINS / 2 : 0;
    for (let i = 0; i < BINS; i++) merged[offset + (i >> 1)] += this.bins[i];
    if (side < 0) this.origin -= this.binWidth * BINS;
    this.binWidth *= 2;
    this.bins = merged;
  }

  /**
   * Neighbouring bins added up, so that few are left between the bounds of all values and zero.
   *
   * @param most how many may be left; the result has more than half as many
   */
  coarse(most: number): Bins {
    const { bins, origin, binWidth, min, max } = this;
    if (binWidth === 0) return { low: 0, width: 0, counts: new Float64Array(0) };
    const binOf = (value: number) => Math.min(BINS - 1, Math.floor((value - origin) / binWidth));
    const first = binOf(Math.min(min, 0));
    const last = binOf(Math.max(max, 0));
    const merge = Math.ceil((last - first + 1) / most);
    const counts = new Float64Array(Math.ceil((last - first + 1) / merge));
    for (let i = first; i <= last; i++) counts[Math.floor((i - first) / merge)] += bins[i];
    return { low: origin + first * binWidth, width: binWidth * merge, counts };
  }

  /** What of a range lies within the bounds of all values, bounds swapped by rounding put right. */
  clip({ min, max }: Range): Range {
    const within = (value: number) => Math.min(Math.max(value, this.min), this.max);
    return { min: within(min), max: Math.max(within(min), within(max)) };
  }

  /** The bounds of all values, zeros included; undefined before there was one. */
  get range(): Range | undefined {
    return this.min <= this.max ? { min: this.min, max: this.max } : undefined;
  }

  /** Non-zero values in each bin, lowest first. */
  get counts(): Float64Array {
    return this.bins;
  }

  /** Lower edge of the first bin. */
  get low(): number {
    return this.origin;
  }

  /** Width of a bin; 0 if all values are zero. */
  get width(): number {
    return this.binWidth;
  }
}
