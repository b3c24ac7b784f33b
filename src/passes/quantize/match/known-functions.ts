/**
 * Functions of one real number that the engine computes in one pass, told by their values: hard-swish is the same whether
 * a graph writes x * relu6(x + 3) / 6 or (x / 6) * relu6(x + 3).
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

/** Beyond the rounding of constants to float32, below what could matter. */
const TOLERANCE = 1e-6;

/** Of a few operations in float64. */
const ROUNDING = 1e-12;

const POWERS = Array.from({ length: 41 }, (_, i) => 2 ** (i - 20));

/** Close to each other where functions bend, and far out, where one may be clamped that looks like another up to there. */
const POINTS = [
  ...POWERS.map((x) => -x),
  ...Array.from({ length: 641 }, (_, i) => i / 16 - 20),
  ...POWERS,
].sort((a, b) => a - b);

const FAR = 2 ** 40;

/** The value that a function keeps from some point on, in the direction of `far`; else infinity. */
function limit(f: (x: number) => number, far: number): number {
  const [value, farther] = [f(far), f(2 * far)];
  return value === farther ? value : Math.sign(farther) * Number.POSITIVE_INFINITY;
}

/** The affine function with bounds that a function is, which need not be defined for zero. */
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

/** The affine function that x is multiplied by: hard-swish is x times a hard sigmoid, often with a constant that is not quite 1 / 6. */
export function gateFunction(f: (x: number) => number): AffineFunction | undefined {
  return affineFunction((x) => f(x) / x);
}

/** The function of the engine that a function is. */
export function namedFunction(f: (x: number) => number): FloatFunctionKind | undefined {
  const same = (g: (x: number) => number) =>
    POINTS.every((x) => Math.abs(f(x) - g(x)) <= TOLERANCE * (1 + Math.abs(x)));
  return FUNCTIONS.find(([, g]) => same(g))?.[0];
}
