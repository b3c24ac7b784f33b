/** `none`; `fast`: for the rounding of a layer's own weights; `sequential`: also for the effect of the layers before it. */
export const BIAS_CORRECTIONS = ['none', 'fast', 'sequential'] as const;

export type BiasCorrection = (typeof BIAS_CORRECTIONS)[number];

export interface MeanOutput {
  /** Real weights. */
  readonly values: Float32Array;
  /** The quantized weights. */
  readonly codes: Int8Array | Int16Array;
  /** Real units per step, one per output channel. */
  readonly scales: Float32Array;
  /** Output channel of each weight. */
  outputChannel(i: number): number;
  /** Input channel that each weight multiplies. */
  inputChannel(i: number): number;
  /** Share of the outputs that each weight contributes to; default 1. Less for weights that fall on the padding. */
  share?(i: number): number;
  /** Mean of each input channel over the calibration data, in the float model. */
  readonly means: Float64Array;
  /** The same in the quantized model; default: assumed equal. */
  readonly quantizedMeans?: Float64Array;
}

/**
 * The change of a layer's mean output by quantization, to be added back to its bias.
 *
 * The mean output of channel o is the sum over i of share * weight * E[x[i]]. Rounding the weights changes it where
 * inputs have a mean, rectified ones above all; what earlier layers did to the means of the inputs changes it too. The
 * means near the border of the input are taken to be those of the rest.
 *
 * @returns one correction per output channel
 * @see Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2
 */
export function biasCorrection(layer: MeanOutput): Float64Array {
  const { values, codes, scales, means, quantizedMeans = means, share = () => 1 } = layer;
  const correction = new Float64Array(scales.length);
  for (let i = 0; i < values.length; i++) {
    const channel = layer.outputChannel(i);
    const input = layer.inputChannel(i);
    const lost = values[i] * means[input] - codes[i] * scales[channel] * quantizedMeans[input];
    correction[channel] += share(i) * lost;
  }
  return correction;
}
