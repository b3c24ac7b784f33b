import type { QuantizedFilter } from './affine';

/**
 * What quantization takes from a layer's mean output, to be added to its bias.
 *
 * The mean output of channel o is the sum over i of weight * E[x[i]]. Rounding the weights changes it where inputs have a
 * mean, rectified ones above all; what earlier layers did to the means of the inputs changes it too. The border of the
 * input is taken to be like the rest.
 *
 * @param weights real weights, in the order of the codes
 * @param outputChannel output channel of each weight
 * @param inputChannel input channel that each weight multiplies
 * @param means mean of each input channel over the calibration data, in the float model
 * @param quantizedMeans the same in the quantized model; default: taken to be equal
 * @returns one correction an output channel
 * @see Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2
 */
export function biasCorrection(
  weights: Float32Array,
  { codes, scales }: QuantizedFilter,
  outputChannel: (i: number) => number,
  inputChannel: (i: number) => number,
  means: Float64Array,
  quantizedMeans: Float64Array = means,
): Float64Array {
  const correction = new Float64Array(scales.length);
  for (let i = 0; i < weights.length; i++) {
    const channel = outputChannel(i);
    const input = inputChannel(i);
    correction[channel] += weights[i] * means[input] - codes[i] * scales[channel] * quantizedMeans[input];
  }
  return correction;
}
