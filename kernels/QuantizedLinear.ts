import { OpKind } from '../src/program/program';
import { type WeightedAttrs, weightedKernel } from './weighted';

/** Filter shape [outFeatures, inFeatures]. */
export type QuantizedLinearAttrs = WeightedAttrs;

/**
 * Matrix product of int8 codes with a filter, on the last axis.
 *
 * Inputs as QuantizedConv2D's: `x` int32 [..., inFeatures], `filterScale` and `bias` [outFeatures]. Output: int32 codes
 * or float32 [..., outFeatures]. With a `weightFormat` as QuantizedConv2D's.
 */
export const quantizedLinearKernel = weightedKernel<QuantizedLinearAttrs>(
  'QuantizedLinear',
  ({ filterShape }) => {
    const [outFeatures, inFeatures] = filterShape;
    const fields = { inFeatures, outFeatures };
    return { kind: OpKind.Linear, filterRank: 2, outChannels: outFeatures, fields };
  },
);
