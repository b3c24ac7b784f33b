import { quantizeValue } from '../../quantization/activation';
import { chooseAffine, type Range } from '../../quantization/affine';
import { boundsOf } from './bounds';
import { MinMaxObserver } from './min-max';
import type { Observer } from './observer';

/** How many values are kept at most. */
const KEPT = 8192;

/**
 * Values out of all that were seen, at random distances, the same every time: at even ones, a sample of a tensor of 64
 * channels would see but one of them.
 */
class ValueSample {
  private readonly bounds = new MinMaxObserver();
  private values: number[] = [];
  /** The mean distance of two values. */
  private stride = 1;
  /** Values to pass over before the next. */
  private gap = 0;
  private state = 1;

  add(values: Float32Array, bounds: Range): void {
    this.bounds.observe(values, bounds);
    let i = this.gap;
    for (; i < values.length; i += 1 + this.below(2 * this.stride - 1)) {
      this.values.push(values[i]);
      if (this.values.length < KEPT) continue;
      this.values = this.values.filter(() => this.below(2) === 0);
      this.stride *= 2;
    }
    this.gap = i - values.length;
  }

  /** A whole number below another, by Knuth and Lewis's linear congruential generator. */
  private below(limit: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * limit);
  }

  range(): Range | undefined {
    return this.bounds.range();
  }

  /** The squared error of codes for a range over all values, estimated; that of the bounds is known. */
  squaredError(range: Range): number {
    const params = chooseAffine(range);
    const error = (value: number) =>
      (value - params.scale * (quantizeValue(value, params) - params.zeroPoint)) ** 2;
    const { min, max } = this.bounds.range()!;
    const inside = this.values.reduce((sum, value) => sum + error(value), 0);
    return inside * this.stride + error(min) + error(max);
  }
}

/**
 * The range of an observer, unless codes for it have a squared error many times that of codes for another one, by
 * measurement: a heavy tail that is cut off may be most of what the tensor holds, and values that are few lie on the
 * codes of some ranges and beside those of others.
 */
export class MeasuredObserver implements Observer {
  /**
   * @param others observers whose ranges may serve instead, beside the bounds of all values
   * @param tolerance how many times the least error is taken
   */
  constructor(
    readonly own: Observer,
    private readonly others: readonly Observer[],
    private readonly tolerance: number,
    private readonly sample = new ValueSample(),
  ) {}

  /** The same for other observers, which have seen the same values. */
  with(own: Observer, others: readonly Observer[], tolerance: number): MeasuredObserver {
    return new MeasuredObserver(own, others, tolerance, this.sample);
  }

  observe(values: Float32Array, bounds: Range = boundsOf(values)): void {
    for (const observer of [this.own, ...this.others]) observer.observe(values, bounds);
    this.sample.add(values, bounds);
  }

  range(): Range | undefined {
    const own = this.own.range();
    const all = this.sample.range();
    if (!own || !all) return own;
    let best = { range: own, error: this.sample.squaredError(own) / this.tolerance };
    for (const range of [...this.others.map((observer) => observer.range()!), all]) {
      const error = this.sample.squaredError(range);
      if (error < best.error) best = { range, error };
    }
    return best.range;
  }
}
