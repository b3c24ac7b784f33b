import { OpKind } from '../src/program/program';
import type { LowbitKernel } from './kernel';
import { FILTER_NAMES, runWeighted, type WeightedAttrs } from './weighted';

/** Filter shape [outFeatures, inFeatures]. */
export type QuantizedLinearAttrs = WeightedAttrs;

/**
 * Matrix product of int8 codes with a filter, on the last axis.
 *
 * Inputs as QuantizedConv2D's: `x` int32 [..., inFeatures], `filterScale` and `bias` [outFeatures]. Output: int32 codes
 * or float32 [..., outFeatures]. With a `weightFormat` as QuantizedConv2D's.
 */
export const quantizedLinearKernel: LowbitKernel = {
  name: 'QuantizedLinear',
  inputNames: ['x', ...FILTER_NAMES],
  weightNames: FILTER_NAMES,
  run(call) {
    const attrs = call.attrs as unknown as QuantizedLinearAttrs;
    const [outFeatures, inFeatures] = attrs.filterShape;
    return runWeighted(call, attrs, {
      kernelName: 'QuantizedLinear',
      kind: OpKind.Linear,
      filterRank: 2,
      outChannels: outFeatures,
      fields: { inFeatures, outFeatures },
    });
  },
};
