/**
 * Functions of one number that the engine computes in one pass, recognized by their values: hard-swish is the same
 * whether a graph writes x * relu6(x + 3) / 6 or (x / 6) * relu6(x + 3).
 */

import { FloatFunctionKind } from '../../../program/program';
import { activationFunction, type Bounds } from '../../../quantization/activation';

/** x * factor + summand, clamped. */
export interface AffineFunction {
  readonly factor: number;
  readonly summand: number;
  readonly clamp: Bounds;
}

const FUNCTIONS: readonly (readonly [FloatFunctionKind, (x: number) => number])[] = [
  [FloatFunctionKind.Sigmoid, activationFunction('sigmoid')],
  [FloatFunctionKind.Tanh, activationFunction('tanh')],
  [FloatFunctionKind.Elu, activationFunction('elu')],
  [FloatFunctionKind.Abs, Math.abs],
  [FloatFunctionKind.Swish, activationFunction('swish')],
];

/** Relative error: above the rounding of constants to float32, below any effect on accuracy. */
const TOLERANCE = 1e-6;

/** Relative error of a few operations in float64. */
const ROUNDING = 1e-12;

const POWERS = Array.from({ length: 41 }, (_, i) => 2 ** (i - 20));

/** Where functions are compared: densely where they bend, and far out, where a clamp may act that does not show before. */
const POINTS = [
  ...POWERS.map((x) => -x),
  ...Array.from({ length: 641 }, (_, i) => i / 16 - 20),
  ...POWERS,
].sort((a, b) => a - b);

const FAR = 2 ** 40;

/** The constant that a function reaches in the direction of `far`; infinity if it reaches none. */
function limit(f: (x: number) => number, far: number): number {
  const [value, farther] = [f(far), f(2 * far)];
  return value === farther ? value : Math.sign(farther) * Number.POSITIVE_INFINITY;
}

/** A function as an affine function with bounds, if it is one. It need not be defined at zero. */
export function affineFunction(f: (x: number) => number): AffineFunction | undefined {
  const limits = [limit(f, -FAR), limit(f, FAR)];
  const clamp = [Math.min(...limits), Math.max(...limits)] as const;
  const rounding = ROUNDING * Math.max(...clamp.filter(Number.isFinite).map(Math.abs), 0);
  const points = Number.isNaN(f(0)) ? POINTS.filter((x) => x !== 0) : POINTS;
  const slope = points.filter((x) => f(x) > clamp[0] + rounding && f(x) < clamp[1] - rounding);
  const [from, to] = [slope[0], slope.at(-1)];
  if (from === undefined || to === undefined || from === to) return undefined;
  const factor = (f(to) - f(from)) / (to - from);
  const summand = f(from) - factor * from;
  const same = points.every((x) => {
    const product = factor * x;
    const own = Math.min(Math.max(product + summand, clamp[0]), clamp[1]);
    return Math.abs(f(x) - own) <= TOLERANCE * (Math.abs(product) + Math.abs(summand));
  });
  return same ? { factor, summand, clamp } : undefined;
}

/** The affine function g with f(x) = x * g(x), if there is one: hard-swish is x times a hard sigmoid. */
export function gateFunction(f: (x: number) => number): AffineFunction | undefined {
  return affineFunction((x) => f(x) / x);
}

/** The named function of the engine that computes the same. */
export function namedFunction(f: (x: number) => number): FloatFunctionKind | undefined {
  const same = (g: (x: number) => number) =>
    POINTS.every((x) => Math.abs(f(x) - g(x)) <= TOLERANCE * (1 + Math.abs(x)));
  return FUNCTIONS.find(([, g]) => same(g))?.[0];
}
