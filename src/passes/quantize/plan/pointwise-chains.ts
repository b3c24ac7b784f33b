/**
 * Chains of pointwise functions of one tensor, composed: x * relu6(x + 3) / 6 is one function of x, and one table.
 */
import { refKey } from '../../../graph/edit';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import type { Bounds } from '../../../quantization/activation';
import { arithmetic } from '../match/pointwise';
import type { Quantizable } from '../match/quantizable';

export interface Chain {
  /** The tensor that the whole chain is a function of. */
  readonly root: TensorRef;
  readonly f: (x: number) => number;
  /** Set if the chain is one function that only clamps. */
  readonly clamp?: Bounds;
}

export const IDENTITY = (x: number) => x;

/**
 * The chains that end in a node's result.
 *
 * @param endingIn those that end in a tensor which the node reads
 * @returns one for each root that they share; none where the node is no function of a single tensor
 */
export function extendChains(
  node: GraphNode,
  quantizable: Quantizable,
  endingIn: (ref: TensorRef) => readonly Chain[],
): Chain[] {
  const [a, b] = quantizable.activations.map(endingIn);
  if (quantizable.kind === 'pointwise') {
    const { f, clamp } = quantizable;
    return a!.map(({ root, f: before }) =>
      before === IDENTITY ? { root, f, clamp } : { root, f: (x) => f(before(x)) },
    );
  }
  const combine = arithmetic(node);
  if (!combine || !a || !b) return [];
  return a.flatMap(({ root, f }) => {
    const other = b.find((chain) => refKey(chain.root) === refKey(root));
    return other ? [{ root, f: (x: number) => combine(f(x), other.f(x)) }] : [];
  });
}

/**
 * Finds the chain that ends in each tensor of a region.
 *
 * @param nodes the region, in topological order
 * @returns chains by tensor; a tensor that is no function of a single earlier one is absent
 */
export function findChains(
  nodes: readonly GraphNode[],
  quantizable: ReadonlyMap<string, Quantizable>,
): ReadonlyMap<string, Chain> {
  const chains = new Map<string, Chain>();
  const endingIn = (ref: TensorRef): Chain[] => [chains.get(refKey(ref)) ?? { root: ref, f: IDENTITY }];
  for (const node of nodes) {
    const [chain] = extendChains(node, quantizable.get(node.name)!, endingIn);
    if (chain) chains.set(refKey({ node: node.name, index: 0 }), chain);
  }
  return chains;
}
