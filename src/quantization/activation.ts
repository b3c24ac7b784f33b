/**
 * Pointwise functions in the quantized domain: a function that only clamps becomes bounds on the output codes, any
 * other one a table of 256 output codes by input code.
 */
import type { AffineParams } from '../program/affine-params';

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const relu6 = (x: number) => Math.min(Math.max(x, 0), 6);

/** Real functions by the names used in attributes (lower case: TF.js lower-cases string attributes). */
const FUNCTIONS = {
  linear: (x: number) => x,
  relu: (x: number) => Math.max(x, 0),
  relu6,
  sigmoid,
  tanh: Math.tanh,
  /** Howard et al. 2019 (MobileNetV3), section 5.2. */
  hard_sigmoid: (x: number) => relu6(x + 3) / 6,
  hard_swish: (x: number) => (x * relu6(x + 3)) / 6,
  swish: (x: number) => x * sigmoid(x),
  elu: (x: number) => (x >= 0 ? x : Math.expm1(x)),
  softplus: (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
} as const;

export type ActivationName = keyof typeof FUNCTIONS;

export const ACTIVATION_NAMES = Object.keys(FUNCTIONS) as ActivationName[];

export type Bounds = readonly [min: number, max: number];

export const UNBOUNDED: Bounds = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];

/** The bounds of what is clamped to some and then to others. */
export function boundsOfBoth(first: Bounds, [min, max]: Bounds): Bounds {
  return [Math.min(Math.max(first[0], min), max), Math.min(Math.max(first[1], min), max)];
}

const CLAMPS: Partial<Record<ActivationName, Bounds>> = {
  linear: UNBOUNDED,
  relu: [0, Number.POSITIVE_INFINITY],
  relu6: [0, 6],
};

/** The real bounds of a function that only clamps; undefined for a function that needs a table. */
export function clampBounds(name: ActivationName): Bounds | undefined {
  return CLAMPS[name];
}

export function activationFunction(name: ActivationName): (x: number) => number {
  return FUNCTIONS[name];
}

/** Rounds half to even, the one rounding rule of the numerics contract. */
export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction !== 0.5) return fraction < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The int8 code of a real value: round(real / scale) + zeroPoint, clamped to [-128, 127]. */
export function quantizeValue(real: number, { scale, zeroPoint }: AffineParams): number {
  return Math.min(127, Math.max(-128, roundHalfToEven(real / scale) + zeroPoint));
}

/** Real bounds as bounds on int8 codes. */
export function clampCodes([min, max]: Bounds, params: AffineParams): { codeMin: number; codeMax: number } {
  return { codeMin: quantizeValue(min, params), codeMax: quantizeValue(max, params) };
}

/**
 * Tabulates a real function over the int8 codes.
 *
 * @returns 256 int8 codes of `output`, entry i for input code i - 128
 */
export function lookupTable(f: (x: number) => number, input: AffineParams, output: AffineParams): Int8Array {
  return Int8Array.from({ length: 256 }, (_, i) =>
    quantizeValue(f((i - 128 - input.zeroPoint) * input.scale), output),
  );
}

/** Tabulates a real function over the int8 codes: 256 float32 values, entry i for input code i - 128. */
export function floatTable(f: (x: number) => number, input: AffineParams): Float32Array {
  return Float32Array.from({ length: 256 }, (_, i) => f((i - 128 - input.zeroPoint) * input.scale));
}
