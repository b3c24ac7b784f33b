/** Weights of known distributions, for what is known about the error of a format on them. */
import { randomOf } from './random';

/** `count` numbers of N(0, 1), by the Box-Muller transform. */
export function gaussian(label: string, count: number): Float32Array {
  const random = randomOf(label, 0);
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.unit()));
    return radius * Math.cos(2 * Math.PI * random.unit());
  });
}

/** sum (x - y)^2 / sum x^2 */
export function normalisedError(values: ArrayLike<number>, approximation: ArrayLike<number>): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < values.length; i++) {
    error += (values[i] - approximation[i]) ** 2;
    power += values[i] ** 2;
  }
  return error / power;
}
