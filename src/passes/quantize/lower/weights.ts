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
import type { WeightRange } from '../../../quantization/weight-range';
import { appendInt8Filter, appendInt16Filter } from './filters';
import type { ProgramBuilder } from './program-builder';
import type { WeightOptions } from './weight-options';

export interface LayerWeights {
  /** The node that multiplies by them. */
  readonly node: string;
  /** The activation that they multiply. */
  readonly input: TensorRef;
  /** In the program's order; not to be used any more once those of another layer are asked for. */
  values(): Float32Array;
  readonly channels: number;
  /** The output channel of each value. */
  outputChannel(i: number): number;
  /** The input channel that each value multiplies. */
  inputChannel(i: number): number;
  /** One value an output channel. */
  readonly bias?: Float32Array;
  /** The share of the result's elements that each value contributes to; default 1. */
  share?(i: number): number;
  /** They have no more than 8 bits of information. */
  readonly fewBits?: boolean;
  /** Of a large layer: some channels after the others, so that its values are never held all at once. */
  readonly blocks?: Blocks;
}

interface Blocks {
  readonly all: readonly LayerWeights[];
  /** The number of all values. */
  readonly size: number;
  /** The largest |w| of the layer. */
  strongest(): number;
}

function blocksOf(weights: LayerWeights): readonly LayerWeights[] {
  return weights.blocks?.all ?? [weights];
}

/** INT8 weights, each the code nearest to it. */
function roundedToNearest(
  weights: LayerWeights,
  inputScale: number | 'dynamic',
  range: WeightRange | undefined,
): FilterCodes {
  const strongest = weights.blocks?.strongest();
  const quantize = ({ values, channels, outputChannel, bias: own }: LayerWeights) => {
    // A float32 bias does not bound the scales.
    const [bias, scale] = inputScale === 'dynamic' ? [undefined, 1] : [own, inputScale];
    return quantizeFilter(values(), outputChannel, channels, bias, scale, range, strongest);
  };
  if (!weights.blocks) return quantize(weights);
  const { all, size } = weights.blocks;
  const [codes, scales] = [new Int8Array(size), new Float32Array(weights.channels)];
  let [code, channel] = [0, 0];
  for (const block of all) {
    const own = quantize(block);
    codes.set(own.codes, code);
    scales.set(own.scales, channel);
    code += own.codes.length;
    channel += block.channels;
  }
  return { codes, scales };
}

function quantizedFilter(
  weights: LayerWeights,
  { weightRange, filters, rounded }: WeightOptions,
  inputScale: number | 'dynamic',
): FilterCodes {
  const { node } = weights;
  const key = `${node} at ${inputScale}`;
  const known = filters?.get(key);
  if (known) return known;
  const plain = roundedToNearest(weights, inputScale, weightRange);
  const given = rounded?.get(node);
  // Where only a part of the model is quantized, the input may have another scale, and so may the weights: an int32 bias
  // that would overflow at scale_in * scale_w widens scale_w.
  const filter = given?.scales.every((scale, c) => scale === plain.scales[c]) ? given : plain;
  filters?.set(key, filter);
  return filter;
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
  const means = builder.calibrated.means(input);
  const fidelity = new SignalToNoise();
  const corrected = new Float64Array(channels);
  let [code, channel] = [0, 0];
  for (const block of blocksOf(weights)) {
    const values = block.values();
    const codes = filter.codes.subarray(code, code + values.length);
    const scales = filter.scales.subarray(channel, channel + block.channels);
    for (let i = 0; i < values.length; i++)
      fidelity.addOne(values[i], codes[i] * scales[block.outputChannel(i)]);
    if (means)
      corrected.set(biasCorrection({ ...block, values, codes, scales, means, quantizedMeans }), channel);
    code += values.length;
    channel += block.channels;
  }
  builder.weightFidelity.set(node, fidelity.decibels);
  if (!bias && !means) return undefined;
  return corrected.map((correction, c) => (bias?.[c] ?? 0) + correction);
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
  const { values, outputChannel, channels, fewBits } = weights;
  const filter = quantizeInt16Filter(values(), outputChannel, channels, fewBits);
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
