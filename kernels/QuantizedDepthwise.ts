import { OpKind } from '../src/program/program';
import type { LowbitKernel } from './kernel';
import { type WindowAttrs, windowOf } from './one-op';
import { FILTER_NAMES, runWeighted, type WeightedAttrs } from './weighted';

/** Filter shape [kernel height, kernel width, channels, multiplier], as TensorFlow has it. */
export interface QuantizedDepthwiseAttrs extends WeightedAttrs, WindowAttrs {}

/**
 * Depthwise convolution of int8 codes, NHWC; output channel c * multiplier + j reads input channel c.
 *
 * Inputs as QuantizedConv2D's, with `filterScale` and `bias` [channels * multiplier]. Output: int32 codes
 * [batch, height, width, channels * multiplier].
 */
export const quantizedDepthwiseKernel: LowbitKernel = {
  name: 'QuantizedDepthwise',
  inputNames: ['x', ...FILTER_NAMES],
  weightNames: FILTER_NAMES,
  run(call) {
    const attrs = call.attrs as unknown as QuantizedDepthwiseAttrs;
    const [kernelH, kernelW, channels, multiplier] = attrs.filterShape;
    return runWeighted(call, attrs, {
      kernelName: 'QuantizedDepthwise',
      kind: OpKind.DepthwiseConv2D,
      filterRank: 4,
      outChannels: channels * multiplier,
      fields: { channels, multiplier, window: windowOf(attrs, [kernelH, kernelW]) },
    });
  },
};
