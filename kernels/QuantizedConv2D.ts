import { OpKind } from '../src/program/program';
import type { LowbitKernel } from './kernel';
import { type WindowAttrs, windowOf } from './one-op';
import { FILTER_NAMES, runWeighted, type WeightedAttrs } from './weighted';

/** Filter shape [outChannels, kernel height, kernel width, inChannels / groups]. */
export interface QuantizedConv2DAttrs extends WeightedAttrs, WindowAttrs {
  /** Default 1. */
  groups?: number;
}

/**
 * Convolution of int8 codes, NHWC.
 *
 * Inputs: `x` int32 [batch, height, width, inChannels], codes in [-128, 127]; `filter` int32, the packed int8 bytes;
 * `filterScale` float32 [outChannels]; `bias` int32 [outChannels] at scale inputScale * filterScale. Output: int32 codes
 * or float32 [batch, height, width, outChannels].
 *
 * With a `weightFormat`, of a 1x1 filter: `filter` int32, the bytes of the codes; `filterScale` int32, the bits of a
 * float16 a group of every output channel, two a word; `bias` float32 [outChannels].
 */
export const quantizedConv2DKernel: LowbitKernel = {
  name: 'QuantizedConv2D',
  inputNames: ['x', ...FILTER_NAMES],
  weightNames: FILTER_NAMES,
  run(call) {
    const attrs = call.attrs as unknown as QuantizedConv2DAttrs;
    const [outChannels, kernelH, kernelW, depth] = attrs.filterShape;
    const groups = attrs.groups ?? 1;
    return runWeighted(call, attrs, {
      kernelName: 'QuantizedConv2D',
      kind: OpKind.Conv2D,
      filterRank: 4,
      outChannels,
      fields: {
        inChannels: depth * groups,
        outChannels,
        groups,
        window: windowOf(attrs, [kernelH, kernelW]),
      },
    });
  },
};
