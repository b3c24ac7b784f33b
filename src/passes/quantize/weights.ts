/** Weights of a layer on their way into a program: quantized, with a bias that makes up for their rounding. */
import type { TensorRef } from '../../graph/ir';
import { type QuantizedFilter, quantizeBias, quantizeFilter } from '../../quantization/affine';
import { biasCorrection } from '../../quantization/bias-correction';
import { signalToNoise } from '../../quantization/metrics';
import type { Int8FilterRef } from '../../runtime/program';
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
  { weightRange, filters }: WeightOptions,
  inputScale: number,
): QuantizedFilter {
  const { node, values, channels, bias } = weights;
  const key = `${node} at ${inputScale}`;
  const known = filters?.get(key);
  if (known) return known;
  const filter = quantizeFilter(values, weights.outputChannel, channels, bias, inputScale, weightRange);
  filters?.set(key, filter);
  return filter;
}

/** Appends quantized weights and bias to a program; the bias makes up for what rounding the weights does to the mean. */
export function quantizeWeights(weights: LayerWeights, builder: ProgramBuilder): Int8FilterRef {
  const { node, input, values, channels, bias } = weights;
  const { scale: inputScale } = builder.paramsOf(builder.read(input));
  const filter = quantizedFilter(weights, builder.options, inputScale);
  const restored = new Float32Array(values.length);
  for (let i = 0; i < restored.length; i++) {
    restored[i] = filter.codes[i] * filter.scales[weights.outputChannel(i)];
  }
  builder.weightFidelity.set(node, signalToNoise(values, restored));
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
