import { type TensorSpec, TensorType } from '../../../src/program/program';
import { quantizeReals } from './elementwise';
import { isFloat, makeTensor, type ReferenceTensor, scaleOf } from './tensor';

const fround = Math.fround;

/** 2^0 ... 2^-126 are the powers that stay normal numbers. */
const MIN_EXPONENT = -87;

/** Taylor coefficients of the exponential, highest first, as float32. */
const COEFFICIENTS = [1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1, 1].map(fround);

const LOG2_E = fround(Math.LOG2E);
const LN2_HIGH = fround(0.693359375);
const LN2_LOW = fround(-2.1219444e-4);

/** exp(x) for x <= 0 as 2^n exp(r), n = round(x / ln 2), each operation rounded to float32. */
export function expOfNonPositive(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x < MIN_EXPONENT) return 0;
  const n = roundInteger(fround(x * LOG2_E));
  const r = fround(fround(x - fround(n * LN2_HIGH)) - fround(n * LN2_LOW));
  const sum = COEFFICIENTS.reduce((total, coefficient) => fround(fround(total * r) + coefficient));
  return fround(sum * 2 ** n);
}

/** Adding 1.5 * 2^23 in float32 rounds half to even. */
function roundInteger(x: number): number {
  const shift = 1.5 * 2 ** 23;
  return fround(fround(x + shift) - shift);
}

/** exp(x - max) in float32, their sum in float64 one after the other, the quotient in float64 rounded to float32. */
export function softmax(input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const channels = input.shape.at(-1)!;
  const floats: number[] = [];
  for (let start = 0; start < input.values.length; start += channels) {
    const row = input.values.slice(start, start + channels);
    const max = row.reduce((a, b) => (b > a ? b : a));
    const exponentials = row.map((value) =>
      expOfNonPositive(
        input.spec.type === TensorType.Int8
          ? fround((value - max) * scaleOf(input.spec))
          : fround(value - max),
      ),
    );
    const sum = exponentials.reduce((a, b) => a + b, 0);
    for (const exponential of exponentials) floats.push(fround(exponential / sum));
  }
  const real = makeTensor(spec, input.shape, floats);
  return isFloat(spec) ? real : quantizeReals(real, spec);
}
