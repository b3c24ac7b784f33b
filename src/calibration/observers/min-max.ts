import type { Range } from '../../quantization/affine';
import { boundsOf } from './bounds';
import type { Observer } from './observer';

/** The bounds of all values seen. */
export class MinMaxObserver implements Observer {
  private min = Number.POSITIVE_INFINITY;
  private max = Number.NEGATIVE_INFINITY;

  observe(values: Float32Array, { min, max }: Range = boundsOf(values)): void {
    if (min < this.min) this.min = min;
    if (max > this.max) this.max = max;
  }

  range() {
    return this.min <= this.max ? { min: this.min, max: this.max } : undefined;
  }
}
