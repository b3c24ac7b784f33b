import type { Range } from '../../quantization/affine';
import { boundsOf } from './bounds';
import type { Observer } from './observer';

/** The least weight of a new sample. */
const RATE = 0.01;

/**
 * Bounds that follow those of the samples: bound += rate * (bound of the sample - bound).
 *
 * The rate of sample n is max(1 / n, 0.01): the mean of the first hundred samples, then an exponential average, so that
 * neither the first sample nor a lone outlier decides.
 *
 * @see Jacob et al. 2018, section 3.1 (exponential moving averages of activation ranges)
 */
export class MovingAverageObserver implements Observer {
  private min = 0;
  private max = 0;
  private samples = 0;

  observe(values: Float32Array, { min, max }: Range = boundsOf(values)): void {
    if (values.length === 0) return;
    this.samples++;
    const rate = Math.max(1 / this.samples, RATE);
    this.min += rate * (min - this.min);
    this.max += rate * (max - this.max);
  }

  range() {
    return this.samples > 0 ? { min: this.min, max: this.max } : undefined;
  }
}
