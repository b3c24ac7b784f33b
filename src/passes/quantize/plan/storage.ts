/** Second step of planning a region: which tensors are stored as float32 instead of codes. */
import { output, refKey } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import { capabilitiesOf } from './capabilities';
import type { Demands } from './demands';
import type { RegionScope } from './region-scope';

/**
 * Results that leave the region are, and so is what only float32 is computed of: rounding logits to 8 bits before a
 * softmax, say, would gain nothing.
 *
 * @param fused keys of tensors that are not stored
 * @returns keys of tensors
 */
export function storedAsFloat32(
  scope: RegionScope,
  { needed, readers, floatReads }: Demands,
  fused: ReadonlySet<string>,
): ReadonlySet<string> {
  const stored = new Set<string>();
  const canStore = (ref: TensorRef): boolean => {
    if (scope.isFloatInOut(ref)) return true;
    const chain = needed.get(refKey(ref))?.chain;
    if (chain && !(chain.clamp && fused.has(refKey(chain.root)))) return false;
    const quantizable = scope.candidates.get((chain?.root ?? ref).node);
    if (!quantizable) return false;
    const { storesFloat32 } = capabilitiesOf(quantizable);
    if (storesFloat32 !== 'ifInput') return storesFloat32 === 'always';
    const [read] = quantizable.activations;
    return readers.get(refKey(read))!.length === 1 && canStore(read);
  };
  const readsFloat32 = (reader: TensorRef) => {
    const key = refKey(reader);
    const reads = capabilitiesOf(scope.quantizable(reader)).readsFloat32;
    return !needed.get(key)!.chain && reads && stored.has(key);
  };
  for (const ref of scope.nodes.toReversed().map((n) => output(n.name))) {
    const key = refKey(ref);
    const floatOnly = floatReads.has(key) || (readers.get(key) ?? []).every(readsFloat32);
    if (needed.has(key) && floatOnly && canStore(ref)) stored.add(key);
  }
  return stored;
}
