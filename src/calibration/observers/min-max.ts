import type { Observer } from './observer';

/** The bounds of all values seen. */
export class MinMaxObserver implements Observer {
  private min = Number.POSITIVE_INFINITY;
  private max = Number.NEGATIVE_INFINITY;

  observe(values: Float32Array): void {
    for (const value of values) {
      if (value < this.min) this.min = value;
      if (value > this.max) this.max = value;
    }
  }

  range() {
    return this.min <= this.max ? { min: this.min, max: this.max } : undefined;
  }
}
