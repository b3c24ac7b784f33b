/** The error of weights encoded in a format. */
import { decodeMatrix } from '../quantization/formats/decode';
import { encodeMatrix } from '../quantization/formats/encode';
import type { FormatName } from '../quantization/formats/format';

/** Weights as formats see them. */
export interface WeightMatrix {
  /** [rows][depth] */
  readonly values: Float32Array;
  /** Output channels. */
  readonly rows: number;
  /** Inputs of each. */
  readonly depth: number;
}

/** Formats, and for comparison the recipe that pi-quantization was published with: see `absmaxPi`. */
export type MeasuredFormat = FormatName | 'pi2-absmax' | 'pi3-absmax';

const ABSMAX_BITS: Readonly<Record<string, number>> = { 'pi2-absmax': 2, 'pi3-absmax': 3 };

/**
 * Pi-quantization with alpha = max|w| / ((2^(b-1) - 1/2) pi / k) for each output channel. pi and k cancel: the step is
 * max|w| / (2^(b-1) - 1/2), and most weights become 0.
 */
function absmaxPi({ values, rows, depth }: WeightMatrix, bits: number): Float32Array {
  const half = 2 ** (bits - 1);
  const result = new Float32Array(values.length);
  for (let start = 0; start < rows * depth; start += depth) {
    let max = 0;
    for (let k = start; k < start + depth; k++) max = Math.max(max, Math.abs(values[k]));
    const step = max / (half - 0.5);
    for (let k = start; step > 0 && k < start + depth; k++) {
      result[k] = Math.min(half - 1, Math.max(-half, Math.round(values[k] / step))) * step;
    }
  }
  return result;
}

/** sum (w - q)^2 */
export function squaredError(matrix: WeightMatrix, format: MeasuredFormat, group: number): number {
  const { values, rows, depth } = matrix;
  const bits = ABSMAX_BITS[format];
  const decoded =
    bits === undefined
      ? decodeMatrix(encodeMatrix(format as FormatName, values, rows, depth, { group }))
      : absmaxPi(matrix, bits);
  let error = 0;
  for (let i = 0; i < values.length; i++) error += (values[i] - decoded[i]) ** 2;
  return error;
}

export function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2;
  return sum;
}
