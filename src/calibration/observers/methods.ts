/** The ways to settle on a range, by name. */
import { EntropyObserver } from './entropy';
import { MeasuredObserver } from './measured';
import { MinMaxObserver } from './min-max';
import { MovingAverageObserver } from './moving-average';
import { MseObserver } from './mse';
import type { Observer } from './observer';
import { PercentileObserver } from './percentile';

export const CALIBRATION_METHODS = ['minmax', 'moving-average', 'percentile', 'mse', 'entropy'] as const;

/**
 * - `minmax`: bounds of all values
 * - `moving-average`: average of the bounds of the samples
 * - `percentile`: bounds that leave out a share of the values at either end
 * - `mse`: bounds with the least squared error
 * - `entropy`: bounds with the least relative entropy (Kullback-Leibler)
 */
export type CalibrationMethod = (typeof CALIBRATION_METHODS)[number];

/**
 * Clips what is worth less than finer steps for the rest: at least as good as any other method on convolutional
 * networks with 8 bits, where the bounds of all values come close and a fixed percentile can cost whole points of top-1.
 */
export const DEFAULT_METHOD: CalibrationMethod = 'mse';

/**
 * How many times the squared error of another range that of a method's may be. To cut off outliers is what percentiles
 * are asked for; the search for the least error knows it within bins only.
 */
const TOLERANCES = { percentile: 100, bounds: 10, leastSquares: 2 };

/** @param percentile share of the values that either bound keeps, in percent, for `percentile` */
export function newObserver(method: CalibrationMethod, percentile: number): Observer {
  switch (method) {
    case 'minmax':
      return new MinMaxObserver();
    case 'moving-average':
      return new MeasuredObserver(new MovingAverageObserver(), [new MseObserver()], TOLERANCES.bounds);
    case 'percentile':
      return new MeasuredObserver(
        new PercentileObserver(percentile),
        [new MseObserver()],
        TOLERANCES.percentile,
      );
    case 'mse':
      return new MeasuredObserver(new MseObserver(), [], TOLERANCES.leastSquares);
    case 'entropy':
      return new MeasuredObserver(new EntropyObserver(), [new MseObserver()], TOLERANCES.bounds);
  }
}

/** The observer of another method that has seen the same values; undefined where too little is known of them. */
export function observerBy(
  method: CalibrationMethod,
  percentile: number,
  seen: Observer,
): Observer | undefined {
  if (method !== 'percentile' || !(seen instanceof MeasuredObserver)) return undefined;
  const { own } = seen;
  if (!(own instanceof MseObserver)) return undefined;
  return seen.with(new PercentileObserver(percentile, own.histogram), [own], TOLERANCES.percentile);
}
