/** What the planner needs to know of each kind of node. */
import type { Quantizable } from '../match/quantizable';

interface Capabilities {
  /** A pointwise function of its result can be fused into its store. */
  readonly fusesFunction: boolean;
  /** Whether it can store float32 instead of codes: `ifInput` if it finds its input stored so. */
  readonly storesFloat32: 'always' | 'never' | 'ifInput';
  /** Where it stores float32, it reads float32 too if there is any. */
  readonly readsFloat32: boolean;
}

const NONE: Capabilities = { fusesFunction: false, storesFloat32: 'never', readsFloat32: false };

const CAPABILITIES: Readonly<Record<Quantizable['kind'], Capabilities>> = {
  weighted: { fusesFunction: true, storesFloat32: 'always', readsFloat32: false },
  matrixProduct: { fusesFunction: true, storesFloat32: 'always', readsFloat32: false },
  elementwise: { fusesFunction: true, storesFloat32: 'never', readsFloat32: false },
  channelAffine: { fusesFunction: true, storesFloat32: 'never', readsFloat32: false },
  averaging: { fusesFunction: false, storesFloat32: 'always', readsFloat32: false },
  softmax: { fusesFunction: false, storesFloat32: 'always', readsFloat32: true },
  reshape: { fusesFunction: false, storesFloat32: 'ifInput', readsFloat32: true },
  selecting: NONE,
  prelu: NONE,
  concat: NONE,
  layout: NONE,
  pointwise: NONE,
};

export function capabilitiesOf({ kind }: Quantizable): Capabilities {
  return CAPABILITIES[kind];
}

/** Why a node is left in float where nothing quantized reads it; undefined: it may end a region. */
export function whyFloatAtEnd(quantizable: Quantizable): string | undefined {
  switch (quantizable.kind) {
    case 'reshape':
      return 'it only renames dimensions, after the last quantized op';
    case 'layout':
      return 'it only moves elements, after the last quantized op';
    case 'pointwise':
      return quantizable.squashes ? 'its result is no longer quantized: computed in float' : undefined;
    default:
      return undefined;
  }
}
