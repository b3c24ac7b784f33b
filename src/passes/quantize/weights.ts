/** Weights of a layer on their way into a program: quantized, with a bias that makes up for their rounding. */
import type { TensorRef } from '../../graph/ir';
import { type QuantizedFilter, quantizeBias, quantizeFilter } from '../../quantization/affine';
import { biasCorrection } from '../../quantization/bias-correction';
import { type Int16Filter, quantizeInt16Filter } from '../../quantization/int16-filter';
import { SignalToNoise } from '../../quantization/metrics';
import type { Int8FilterRef, Int16FilterRef } from '../../runtime/program';
import type { ProgramBuilder, WeightOptions } from './program-builder';

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
  inputScale: number,
): QuantizedFilter {
  const { node, values, channels, bias } = weights;
  const key = `${node} at ${inputScale}`;
  const known = filters?.get(key);
  if (known) return known;
  const plain = quantizeFilter(values, weights.outputChannel, channels, bias, inputScale, weightRange);
  const given = rounded?.get(node);
  // The input's scale, by which a bias may widen the steps, is another where only a part of the model is quantized.
  const filter = given?.scales.every((scale, c) => scale === plain.scales[c]) ? given : plain;
  filters?.set(key, filter);
  return filter;
}

/** Signal-to-noise of quantized weights, in dB. */
function fidelity(
  { values, outputChannel }: LayerWeights,
  { codes, scales }: QuantizedFilter | Int16Filter,
): number {
  const sums = new SignalToNoise();
  for (let i = 0; i < values.length; i++) sums.addOne(values[i], codes[i] * scales[outputChannel(i)]);
  return sums.decibels;
}

/** Appends int16 weights, and a float32 bias that makes up for what rounding them does to the mean. */
export function quantizeInt16Weights(weights: LayerWeights, builder: ProgramBuilder): Int16FilterRef {
  const { node, input, values, channels, bias } = weights;
  const filter = quantizeInt16Filter(values, weights.outputChannel, channels);
  builder.weightFidelity.set(node, fidelity(weights, filter));
  const means = builder.channelMeans(input);
  const correction = means && biasCorrection({ ...weights, ...filter, means });
  const corrected = Float32Array.from(
    { length: channels },
    (_, c) => (bias?.[c] ?? 0) + (correction?.[c] ?? 0),
  );
  return builder.int16Filter(filter, corrected);
}

/** Appends quantized weights and bias to a program; the bias makes up for what rounding the weights does to the mean. */
export function quantizeWeights(weights: LayerWeights, builder: ProgramBuilder): Int8FilterRef {
  const { node, input, channels, bias } = weights;
  const { scale: inputScale } = builder.paramsOf(builder.read(input));
  const filter = quantizedFilter(weights, builder.options, inputScale);
  builder.weightFidelity.set(node, fidelity(weights, filter));
  const means = builder.channelMeans(input);
  const correction =
    means && biasCorrection({ ...weights, ...filter, means, quantizedMeans: builder.quantizedMeans(input) });
  if (!bias && !correction) return builder.filter(filter);
  const corrected = Float64Array.from(
    { length: channels },
    (_, c) => (bias?.[c] ?? 0) + (correction?.[c] ?? 0),
  );
  return builder.filter(filter, quantizeBias(corrected, filter.scales, inputScale));
}
