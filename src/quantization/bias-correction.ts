import type { QuantizedFilter } from './affine';

/**
 * What rounding the weights takes from a layer's mean output, to be added to its bias.
 *
 * The output of channel o changes by sum over i of (quantized - real weight) * x[i]; its mean over the data does not
 * vanish where inputs have a mean, rectified ones above all. The border of the input is taken to be like the rest.
 *
 * @param weights real weights, in the order of the codes
 * @param outputChannel output channel of each weight
 * @param inputChannel input channel that each weight multiplies
 * @param means mean of each input channel over the calibration data
 * @returns one correction an output channel
 * @see Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2
 */
export function biasCorrection(
  weights: Float32Array,
  { codes, scales }: QuantizedFilter,
  outputChannel: (i: number) => number,
  inputChannel: (i: number) => number,
  means: Float64Array,
): Float64Array {
  const correction = new Float64Array(scales.length);
  for (let i = 0; i < weights.length; i++) {
    const channel = outputChannel(i);
    correction[channel] += (weights[i] - codes[i] * scales[channel]) * means[inputChannel(i)];
  }
  return correction;
}
