/** int16 weights of layers with int16 activations. */
import { roundHalfToEven } from './activation';

export interface Int16Filter {
  /** In the order of the values given. */
  readonly codes: Int16Array;
  /** Real units per step, one per output channel. */
  readonly scales: Float32Array;
}

const MAX_CODE = 32767;

/** 65536 * 32767, the largest sum of |weight| times the largest activation, still fits the int32 accumulator. */
const MAX_SUM = 65536;

const MIN_SCALE = 2 ** -100;

/** Whether steps can be as fine as those of int8 for a channel of this many weights. */
export function fitsInt16(weightsPerChannel: number): boolean {
  return weightsPerChannel <= MAX_SUM / 4;
}

/**
 * Quantizes the weights of a layer symmetrically, each output channel with the finest step whose exact sums of products
 * with int16 activations fit int32: some 14 bits for channels of 16 weights, 10 for those of a thousand.
 *
 * @param channel output channel of each flat index of `values`
 */
export function quantizeInt16Filter(
  values: Float32Array,
  channel: (i: number) => number,
  channels: number,
): Int16Filter {
  const maxima = new Float64Array(channels);
  const sums = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) {
    const c = channel(i);
    const magnitude = Math.abs(values[i]);
    maxima[c] = Math.max(maxima[c], magnitude);
    sums[c] += magnitude;
  }
  // Rounding adds up to half a step per weight, and float32 scales are off by a little.
  const room = (MAX_SUM - values.length / channels) * (1 - 2 ** -20);
  const scales = Float32Array.from(maxima, (max, c) => Math.max(max / MAX_CODE, sums[c] / room, MIN_SCALE));
  const codes = new Int16Array(values.length);
  for (let i = 0; i < codes.length; i++) {
    const code = roundHalfToEven(values[i] / scales[channel(i)]);
    codes[i] = Math.min(MAX_CODE, Math.max(-MAX_CODE, code));
  }
  return { codes, scales };
}
