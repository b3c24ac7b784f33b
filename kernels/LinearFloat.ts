import { OpKind } from '../src/program/program';
import { type WeightedAttrs, weightedKernel } from './weighted';

/** Filter shape [outFeatures, inFeatures]. The fused function clamps: linear, relu or relu6. */
export type LinearFloatAttrs = Pick<
  WeightedAttrs,
  'filterShape' | 'activation' | 'weightFormat' | 'levels' | 'group' | 'unit'
>;

/**
 * Matrix product of float32 values with weights of 2, 3, 4 or 8 bits, on the last axis.
 *
 * Inputs: `x` float32 [..., inFeatures], `filter` and `filterScale` as QuantizedLinear's, `bias` float32 [outFeatures].
 * Output: float32 [..., outFeatures].
 */
export const linearFloatKernel = weightedKernel<WeightedAttrs>('LinearFloat', ({ filterShape }) => {
  const [outFeatures, inFeatures] = filterShape;
  const fields = { inFeatures, outFeatures };
  return { kind: OpKind.LinearFloat, filterRank: 2, outChannels: outFeatures, floats: true, fields };
});
