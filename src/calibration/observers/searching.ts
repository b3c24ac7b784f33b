import type { Range } from '../../quantization/affine';
import { type Bins, Histogram } from './histogram';
import type { Observer } from './observer';

/** Bins that the search looks at. */
const BINS = 2048;

/** Bounds that a search over the histogram of all values seen finds best. */
export class SearchingObserver implements Observer {
  readonly histogram = new Histogram();

  constructor(private readonly search: (bins: Bins) => Range) {}

  observe(values: Float32Array, bounds?: Range): void {
    this.histogram.add(values, bounds);
  }

  range() {
    const { range, width } = this.histogram;
    if (!range || width === 0) return range;
    return this.histogram.clip(this.search(this.histogram.coarse(BINS)));
  }
}
