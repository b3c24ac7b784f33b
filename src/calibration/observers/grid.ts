/** Finds out whether all values of a tensor lie on a grid of 256, as pixels do. */
import type { Grid } from '../../program/program';

const GRID_VALUES = 256;

/** Of a step: pixels that were scaled in float32 are off by less. */
const TOLERANCE = 0.01;

export class GridObserver {
  /** Undefined once there are too many. */
  private values: Set<number> | undefined = new Set();

  observe(values: Float32Array): void {
    for (let i = 0; this.values && i < values.length; i++) {
      this.values.add(values[i]);
      if (this.values.size > GRID_VALUES) this.values = undefined;
    }
  }

  /** The grid, if the values lie on one that has zero among or between its values, and reach both of its ends. */
  grid(): Grid | undefined {
    const sorted = Float64Array.from(this.values ?? []).sort();
    const [first, last] = [sorted[0], sorted.at(-1)!];
    const step = (last - first) / (GRID_VALUES - 1);
    if (!(step > 0) || first > 0 || last < 0) return undefined;
    const onGrid = sorted.every((value) => {
      const place = (value - first) / step;
      return Math.abs(place - Math.round(place)) < TOLERANCE;
    });
    // Few values lie on many grids.
    return onGrid && sorted.length > GRID_VALUES / 2 ? { first, step } : undefined;
  }
}
