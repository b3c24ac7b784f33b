import { OpKind } from '../src/program/program';
import { type WindowAttrs, windowOf } from './one-op';
import { type WeightedAttrs, weightedKernel } from './weighted';

/** Filter shape [outChannels, kernel height, kernel width, inChannels]; no dilations. */
export interface QuantizedConv2DTransposeAttrs extends WeightedAttrs, WindowAttrs {
  /** Height and width of the output; default: the input times the strides (same), or what the windows cover. */
  outputSize?: [number, number];
}

/**
 * Transposed convolution of int8 codes, NHWC: the gradient of a convolution with respect to its input.
 *
 * Inputs as QuantizedConv2D's. Output: int32 codes or float32 [batch, height, width, outChannels].
 */
export const quantizedConv2DTransposeKernel = weightedKernel<QuantizedConv2DTransposeAttrs>(
  'QuantizedConv2DTranspose',
  (attrs) => {
    const [outChannels, kernelH, kernelW, inChannels] = attrs.filterShape;
    const { outputSize = [0, 0] } = attrs;
    return {
      kind: OpKind.TransposedConv2D,
      filterRank: 4,
      outChannels,
      fields: { inChannels, outChannels, window: windowOf(attrs, [kernelH, kernelW]), outputSize },
    };
  },
);
