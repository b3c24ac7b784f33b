/** The weights of a layer in a program: quantized, with a bias that corrects the mean error of their rounding. */
import type { TensorRef } from '../../../graph/ir';
import {
  type Int8FilterRef,
  type Int16FilterRef,
  type OffsetInt8FilterRef,
  WeightFormat,
} from '../../../program/program';
import { type FilterCodes, quantizeBias, quantizeFilter } from '../../../quantization/affine';
import { biasCorrection } from '../../../quantization/bias-correction';
import { type Int16Filter, quantizeInt16Filter } from '../../../quantization/int16-filter';
import { SignalToNoise } from '../../../quantization/metrics';
import { appendInt8Filter, appendInt16Filter } from './filters';
import type { ProgramBuilder } from './program-builder';
import type { WeightOptions } from './weight-options';

export interface LayerWeights {
  /** The node that multiplies by them. */
  readonly node: string;
  /** The activation that they multiply. */
  readonly input: TensorRef;
  /** In the program's order. */
  readonly values: Float32Array;
  readonly channels: number;
  /** The output channel of each value. */
  outputChannel(i: number): number;
  /** The input channel that each value multiplies. */
  inputChannel(i: number): number;
  /** One value an output channel. */
  readonly bias?: Float32Array;
  /** The share of the result's elements that each value contributes to; default 1. */
  share?(i: number): number;
}

function quantizedFilter(
  weights: LayerWeights,
  { weightRange, filters, rounded }: WeightOptions,
  inputScale: number | 'dynamic',
): FilterCodes {
  const { node, values, channels, outputChannel } = weights;
  const key = `${node} at ${inputScale}`;
  const known = filters?.get(key);
  if (known) return known;
  // A float32 bias does not bound the scales.
  const [bias, scale] = inputScale === 'dynamic' ? [undefined, 1] : [weights.bias, inputScale];
  const plain = quantizeFilter(values, outputChannel, channels, bias, scale, weightRange);
  const given = rounded?.get(node);
  // Where only a part of the model is quantized, the input may have another scale, and so may the weights: an int32 bias
  // that would overflow at scale_in * scale_w widens scale_w.
  const filter = given?.scales.every((scale, c) => scale === plain.scales[c]) ? given : plain;
  filters?.set(key, filter);
  return filter;
}

/** Signal-to-noise of quantized weights, in dB. */
function fidelity(
  { values, outputChannel }: LayerWeights,
  { codes, scales }: FilterCodes | Int16Filter,
): number {
  const sums = new SignalToNoise();
  for (let i = 0; i < values.length; i++) sums.addOne(values[i], codes[i] * scales[outputChannel(i)]);
  return sums.decibels;
}

/**
 * The bias in real units, corrected by the mean error that rounding the weights causes; undefined where both are absent.
 * Records the fidelity of the weights.
 */
function correctedBias(
  weights: LayerWeights,
  filter: FilterCodes | Int16Filter,
  builder: ProgramBuilder,
  quantizedMeans?: Float64Array,
): Float64Array | undefined {
  const { node, input, channels, bias } = weights;
  builder.weightFidelity.set(node, fidelity(weights, filter));
  const means = builder.calibrated.means(input);
  const correction = means && biasCorrection({ ...weights, ...filter, means, quantizedMeans });
  if (!bias && !correction) return undefined;
  return Float64Array.from({ length: channels }, (_, c) => (bias?.[c] ?? 0) + (correction?.[c] ?? 0));
}

function floatBias(
  weights: LayerWeights,
  filter: FilterCodes | Int16Filter,
  builder: ProgramBuilder,
): Float32Array {
  return Float32Array.from(correctedBias(weights, filter, builder) ?? new Float32Array(weights.channels));
}

/** Appends int16 weights with a float32 bias. */
export function quantizeInt16Weights(
  weights: LayerWeights,
  builder: ProgramBuilder,
): Int16FilterRef | OffsetInt8FilterRef {
  const { values, outputChannel, channels } = weights;
  const filter = quantizeInt16Filter(values, outputChannel, channels);
  const ref = appendInt16Filter(builder.weights, filter, outputChannel, floatBias(weights, filter, builder));
  if (ref.format === WeightFormat.OffsetInt8) builder.offsetInt8.add(weights.node);
  return ref;
}

/** Appends INT8 weights with a float32 bias, for dynamic activations. */
export function quantizeDynamicWeights(weights: LayerWeights, builder: ProgramBuilder): Int8FilterRef {
  const filter = quantizedFilter(weights, builder.options, 'dynamic');
  return appendInt8Filter(builder.weights, filter, floatBias(weights, filter, builder));
}

/**
 * Appends INT8 weights with an int32 bias, for int8 activations.
 *
 * Where real input = (code - zero point) * scale + c, the bias of an output gains c * sum of its weights.
 */
export function quantizeWeights(weights: LayerWeights, builder: ProgramBuilder): Int8FilterRef {
  const { input, channels, outputChannel } = weights;
  const { scale: inputScale } = builder.paramsOf(builder.read(input));
  const filter = quantizedFilter(weights, builder.options, inputScale);
  const offset = builder.offset(input);
  if (offset === 0) {
    const bias = correctedBias(weights, filter, builder, builder.calibrated.quantizedMeans(input));
    return appendInt8Filter(builder.weights, filter, bias && quantizeBias(bias, filter.scales, inputScale));
  }
  const bias = correctedBias(weights, filter, builder) ?? new Float64Array(channels);
  // Padding is the code of the zero point, whose real value is c, not 0: |c| is at most half a step of the grid.
  filter.codes.forEach((code, i) => {
    const c = outputChannel(i);
    bias[c] += offset * code * filter.scales[c];
  });
  return appendInt8Filter(builder.weights, filter, quantizeBias(bias, filter.scales, inputScale));
}
