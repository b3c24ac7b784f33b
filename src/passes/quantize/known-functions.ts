/**
 * Functions of one real number that the engine computes in one pass, told by their values: hard-swish is the same whether
 * a graph writes x * relu6(x + 3) / 6 or x * (relu6(x + 3) * 0.1667).
 */
import { activationFunction, type Bounds } from '../../quantization/activation';
import { RealFunctionKind } from '../../runtime/program';

/** x * factor + summand, clamped. */
export interface AffineFunction {
  readonly factor: number;
  readonly summand: number;
  readonly clamp: Bounds;
}

const FUNCTIONS: readonly (readonly [RealFunctionKind, (x: number) => number])[] = [
  [RealFunctionKind.Sigmoid, activationFunction('sigmoid')],
  [RealFunctionKind.Tanh, activationFunction('tanh')],
  [RealFunctionKind.Elu, activationFunction('elu')],
  [RealFunctionKind.Abs, Math.abs],
  [RealFunctionKind.HardSwish, activationFunction('hard_swish')],
  [RealFunctionKind.Swish, activationFunction('swish')],
];

/** Beyond the rounding of constants to float32, below what could matter. */
const TOLERANCE = 1e-6;

const POWERS = Array.from({ length: 41 }, (_, i) => 2 ** (i - 20));

/** Close to each other where functions bend, and far out, where one may be clamped that looks like another up to there. */
const POINTS = [
  ...POWERS.map((x) => -x),
  ...Array.from({ length: 641 }, (_, i) => i / 16 - 20),
  ...POWERS,
].sort((a, b) => a - b);

/** The affine function with bounds that a function is. */
export function affineFunction(f: (x: number) => number): AffineFunction | undefined {
  const ends = [f(Number.NEGATIVE_INFINITY), f(Number.POSITIVE_INFINITY)];
  const clamp = [Math.min(...ends), Math.max(...ends)] as const;
  const slope = POINTS.filter((x) => f(x) > clamp[0] && f(x) < clamp[1]);
  const [from, to] = [slope[0], slope.at(-1)];
  if (from === undefined || to === undefined || from === to) return undefined;
  const factor = (f(to) - f(from)) / (to - from);
  const summand = f(from) - factor * from;
  const same = POINTS.every((x) => {
    const [product, value] = [factor * x, f(x)];
    const own = Math.min(Math.max(product + summand, clamp[0]), clamp[1]);
    return Math.abs(value - own) <= TOLERANCE * (Math.abs(product) + Math.abs(summand));
  });
  return same ? { factor, summand, clamp } : undefined;
}

/** The function of the engine that a function is. */
export function namedFunction(f: (x: number) => number): RealFunctionKind | undefined {
  const same = (g: (x: number) => number) =>
    POINTS.every((x) => Math.abs(f(x) - g(x)) <= TOLERANCE * (1 + Math.abs(x)));
  return FUNCTIONS.find(([, g]) => same(g))?.[0];
}
