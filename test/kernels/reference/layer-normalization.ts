import { type Op, type OpKind, type TensorSpec, TensorType } from '../../../src/program/program';
import { quantizeReals } from './elementwise';
import { isFloat, makeTensor, type ReferenceTensor, scaleOf } from './tensor';

const fround = Math.fround;

const LANES = 8;

/** Sums in float64: element i in number i % 8 of 8 partial sums, which are added up in order. */
function mean(terms: readonly number[]): number {
  const lanes = new Array<number>(LANES).fill(0);
  for (const [i, term] of terms.entries()) lanes[i % LANES]! += term;
  return lanes.reduce((a, b) => a + b, 0) / terms.length;
}

/** (x - mean) / sqrt(variance + epsilon) in float64, rounded to float32; times gamma and plus beta in float32. */
export function layerNormalization(
  { channels, gammaOffset, betaOffset, epsilon }: Extract<Op, { kind: OpKind.LayerNormalization }>,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const numbers = (offset: number) => new Float32Array(weights.slice(offset, offset + 4 * channels).buffer);
  const [gamma, beta] = [numbers(gammaOffset), numbers(betaOffset)];
  const { scale, zeroPoint } = { scale: scaleOf(input.spec), zeroPoint: input.spec.zeroPoint };
  const real = (value: number) =>
    input.spec.type === TensorType.Int8 ? fround(fround(value - zeroPoint) * scale) : value;
  const floats: number[] = [];
  for (let start = 0; start < input.values.length; start += channels) {
    const row = input.values.slice(start, start + channels).map(real);
    const center = mean(row);
    const variance = mean(row.map((x) => (x - center) * (x - center)));
    const inverse = 1 / Math.sqrt(variance + fround(epsilon));
    for (const [c, x] of row.entries()) {
      floats.push(fround(fround(fround((x - center) * inverse) * gamma[c]!) + beta[c]!));
    }
  }
  const result = makeTensor(spec, input.shape, floats);
  return isFloat(spec) ? result : quantizeReals(result, spec);
}
