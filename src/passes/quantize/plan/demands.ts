/**
 * First step of planning a region: which tensors it must compute. Backwards from its outputs: what lies in the middle of a
 * chain of pointwise functions is never computed, and what one of them can be fused into is never stored.
 */
import { refKey } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import { capabilitiesOf } from './capabilities';
import { type Chain, findChains } from './pointwise-chains';
import type { RegionScope } from './region-scope';

export interface Demand {
  readonly ref: TensorRef;
  /** The chain of functions that makes it of another tensor, if any. */
  readonly chain?: Chain;
}

export interface Demands {
  /** Tensors that are computed, by key: inputs of the region included. */
  readonly needed: ReadonlyMap<string, Demand>;
  /** Tensors that are computed of a tensor, by its key. */
  readonly readers: ReadonlyMap<string, readonly TensorRef[]>;
  /** Keys of tensors that a node with float32 input and output reads. */
  readonly floatReads: ReadonlySet<string>;
}

export function findDemands(scope: RegionScope): Demands {
  const { nodes, outputs, candidates } = scope;
  const chains = findChains(
    nodes.filter(({ name }) => !scope.precisions.has(name)),
    candidates,
  );
  const needed = new Map<string, Demand>();
  const readers = new Map<string, TensorRef[]>();
  const floatReads = new Set<string>();
  const queue = [...outputs];
  for (const ref of outputs) needed.set(refKey(ref), { ref });
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (!scope.contains(ref)) continue;
    const chain = chains.get(refKey(ref));
    if (chain) needed.set(refKey(ref), { ref, chain });
    for (const read of chain ? [chain.root] : scope.quantizable(ref).activations) {
      const key = refKey(read);
      readers.set(key, [...(readers.get(key) ?? []), ref]);
      if (scope.isFloatInOut(ref)) floatReads.add(key);
      if (needed.has(key)) continue;
      needed.set(key, { ref: read });
      queue.push(read);
    }
  }
  return { needed, readers, floatReads };
}

/** The tensor that a node on float32 clamps, if it does nothing else. */
export function clampedInput(scope: RegionScope, ref: TensorRef): TensorRef | undefined {
  const quantizable = scope.quantizable(ref);
  const clamps = quantizable.kind === 'pointwise' && quantizable.clamp !== undefined;
  return clamps && scope.isFloatInOut(ref) ? quantizable.activations[0] : undefined;
}

/** Keys of tensors that are not stored: the function that alone reads them is fused into the op that computes them. */
export function findFusions(scope: RegionScope, { needed, readers }: Demands): ReadonlySet<string> {
  const fusesReader = (root: TensorRef, readerOnFloat32: boolean) =>
    scope.contains(root) &&
    capabilitiesOf(scope.quantizable(root)).fusesFunction &&
    readers.get(refKey(root))?.length === 1 &&
    scope.isFloatInOut(root) === readerOnFloat32 &&
    !scope.leaves(root);
  const fused = new Set<string>();
  for (const { ref, chain } of needed.values()) {
    if (!scope.contains(ref)) continue;
    const root = chain?.root ?? clampedInput(scope, ref);
    if (root && fusesReader(root, !chain)) fused.add(refKey(root));
  }
  return fused;
}
