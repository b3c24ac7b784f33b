import { OpKind } from '../src/program/program';
import type { LowbitKernel } from './kernel';
import { type WindowAttrs, windowOf } from './one-op';
import { FILTER_NAMES, runWeighted, type WeightedAttrs } from './weighted';

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
export const quantizedConv2DTransposeKernel: LowbitKernel = {
  name: 'QuantizedConv2DTranspose',
  inputNames: ['x', ...FILTER_NAMES],
  weightNames: FILTER_NAMES,
  run(call) {
    const attrs = call.attrs as unknown as QuantizedConv2DTransposeAttrs;
    const [outChannels, kernelH, kernelW, inChannels] = attrs.filterShape;
    return runWeighted(call, attrs, {
      kernelName: 'QuantizedConv2DTranspose',
      kind: OpKind.TransposedConv2D,
      filterRank: 4,
      outChannels,
      fields: {
        inChannels,
        outChannels,
        window: windowOf(attrs, [kernelH, kernelW]),
        outputSize: attrs.outputSize ?? [0, 0],
      },
    });
  },
};
