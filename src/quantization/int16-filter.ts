/** int16 weights of layers with int16 activations. */
import { roundHalfToEven } from './activation';
import { storedSteps } from './weight-grid';

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

const MIN_ZERO_POINT = -32768;

/** What codes of 8 bits can be apart. */
const OFFSET_INT8_SPAN = 255;

/** Whether steps can be as fine as those of int8 for a channel of this many weights. */
export function fitsInt16(weightsPerChannel: number): boolean {
  return weightsPerChannel <= MAX_SUM / 4;
}

/**
 * Quantizes the weights of a layer symmetrically, each output channel with the finest step whose exact sums of products
 * with int16 activations fit int32: some 14 bits for channels of 16 weights, 10 for those of a thousand. Weights
 * that were stored in 8 bits keep their steps, and so their values.
 *
 * @param channel output channel of each flat index of `values`
 * @param narrow codes of a channel are at most 255 apart: for weights that have no more than 8 bits of information, though
 *   rescaling may have taken them off the grid that they were on
 */
export function quantizeInt16Filter(
  values: Float32Array,
  channel: (i: number) => number,
  channels: number,
  narrow = false,
): Int16Filter {
  const [lowest, highest] = [new Float64Array(channels), new Float64Array(channels)];
  lowest.fill(Number.POSITIVE_INFINITY);
  highest.fill(Number.NEGATIVE_INFINITY);
  const sums = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) {
    const c = channel(i);
    lowest[c] = Math.min(lowest[c], values[i]);
    highest[c] = Math.max(highest[c], values[i]);
    sums[c] += Math.abs(values[i]);
  }
  const maxima = highest.map((high, c) => Math.max(high, -lowest[c]));
  const stored = storedSteps(values, channel, maxima);
  // Rounding either end adds up to half a step to their distance. Codes reach from int16's lowest on.
  const narrowStep = (c: number) =>
    Math.max((highest[c] - lowest[c]) / (OFFSET_INT8_SPAN - 1), maxima[c] / MAX_CODE);
  const steps = stored ?? Array.from(maxima, (max, c) => (narrow ? narrowStep(c) : max / MAX_CODE));
  // Rounding adds up to half a step per weight, and float32 scales are off by a little.
  const room = (MAX_SUM - values.length / channels) * (1 - 2 ** -20);
  const scales = Float32Array.from(maxima, (_, c) => Math.max(steps[c], sums[c] / room, MIN_SCALE));
  const codes = new Int16Array(values.length);
  for (let i = 0; i < codes.length; i++) {
    const code = roundHalfToEven(values[i] / scales[channel(i)]);
    codes[i] = Math.min(MAX_CODE, Math.max(-MAX_CODE, code));
  }
  return { codes, scales };
}

/** The codes of an int16 filter in 8 bits: code - zero point of its output channel. */
export interface OffsetInt8Codes {
  readonly codes: Int8Array;
  /** One an output channel. */
  readonly zeroPoints: Int16Array;
}

/** Undefined where the codes of a channel are more than 255 apart. */
export function offsetInt8Codes(
  { codes, scales }: Int16Filter,
  channel: (i: number) => number,
): OffsetInt8Codes | undefined {
  const lowest = new Int16Array(scales.length).fill(MAX_CODE);
  const highest = new Int16Array(scales.length).fill(-MAX_CODE);
  for (let i = 0; i < codes.length; i++) {
    const c = channel(i);
    lowest[c] = Math.min(lowest[c], codes[i]);
    highest[c] = Math.max(highest[c], codes[i]);
  }
  if (lowest.some((low, c) => highest[c] - low > OFFSET_INT8_SPAN)) return undefined;
  // The lowest becomes -128, or what int16 has room for; a channel around zero keeps its codes.
  const zeroPoints = lowest.map((low, c) =>
    low >= -128 && highest[c] <= 127 ? 0 : Math.max(MIN_ZERO_POINT, -128 - low),
  );
  const stored = new Int8Array(codes.length);
  for (let i = 0; i < codes.length; i++) stored[i] = codes[i] + zeroPoints[channel(i)];
  return { codes: stored, zeroPoints };
}
