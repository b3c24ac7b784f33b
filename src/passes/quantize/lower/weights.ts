/** Weights of a layer on their way into a program: quantized, with a bias that makes up for their rounding. */
import type { TensorRef } from '../../../graph/ir';
import type { Int8FilterRef, Int16FilterRef } from '../../../program/program';
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
  /** The share of the result's elements that each value takes part in; default 1. */
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
  // A bias of real values does not bound the steps.
  const [bias, scale] = inputScale === 'dynamic' ? [undefined, 1] : [weights.bias, inputScale];
  const plain = quantizeFilter(values, outputChannel, channels, bias, scale, weightRange);
  const given = rounded?.get(node);
  // The input's scale, by which a bias may widen the steps, is another where only a part of the model is quantized.
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
 * The bias in real units, which makes up for what rounding the weights does to the mean; undefined where there is none. Notes
 * the fidelity of the weights.
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

/** Appends int16 weights with a bias of real values. */
export function quantizeInt16Weights(weights: LayerWeights, builder: ProgramBuilder): Int16FilterRef {
  const filter = quantizeInt16Filter(weights.values, weights.outputChannel, weights.channels);
  return appendInt16Filter(builder.weights, filter, floatBias(weights, filter, builder));
}

/** Appends INT8 weights with a bias of real values, for an activation that is quantized by the values at hand. */
export function quantizeDynamicWeights(weights: LayerWeights, builder: ProgramBuilder): Int8FilterRef {
  const filter = quantizedFilter(weights, builder.options, 'dynamic');
  return appendInt8Filter(builder.weights, filter, floatBias(weights, filter, builder));
}

/** Appends quantized weights and bias to a program; the bias makes up for what rounding the weights does to the mean. */
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
  // At the border of an image, where zeros are added, this is half a step too much at most.
  filter.codes.forEach((code, i) => {
    const c = outputChannel(i);
    bias[c] += offset * code * filter.scales[c];
  });
  return appendInt8Filter(builder.weights, filter, quantizeBias(bias, filter.scales, inputScale));
}
