import { OpKind } from '../src/program/program';
import type { LowbitKernel } from './kernel';
import { FILTER_NAMES, runWeighted, type WeightedAttrs } from './weighted';

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
export const linearFloatKernel: LowbitKernel = {
  name: 'LinearFloat',
  inputNames: ['x', ...FILTER_NAMES],
  weightNames: FILTER_NAMES,
  run(call) {
    const attrs = call.attrs as unknown as WeightedAttrs;
    const [outFeatures, inFeatures] = attrs.filterShape;
    return runWeighted(call, attrs, {
      kernelName: 'LinearFloat',
      kind: OpKind.LinearFloat,
      filterRank: 2,
      outChannels: outFeatures,
      floats: true,
      fields: { inFeatures, outFeatures },
    });
  },
};
