import { OpKind } from '../src/program/program';
import { type WindowAttrs, windowOf } from './one-op';
import { type WeightedAttrs, weightedKernel } from './weighted';

/** Filter shape [kernel height, kernel width, channels, multiplier], as TensorFlow has it. */
export interface QuantizedDepthwiseAttrs extends WeightedAttrs, WindowAttrs {}

/**
 * Depthwise convolution of int8 codes, NHWC; output channel c * multiplier + j reads input channel c.
 *
 * Inputs as QuantizedConv2D's, with `filterScale` and `bias` [channels * multiplier]. Output: int32 codes
 * [batch, height, width, channels * multiplier].
 */
export const quantizedDepthwiseKernel = weightedKernel<QuantizedDepthwiseAttrs>(
  'QuantizedDepthwise',
  (attrs) => {
    const [kernelH, kernelW, channels, multiplier] = attrs.filterShape;
    return {
      kind: OpKind.DepthwiseConv2D,
      filterRank: 4,
      outChannels: channels * multiplier,
      fields: { channels, multiplier, window: windowOf(attrs, [kernelH, kernelW]) },
    };
  },
);
