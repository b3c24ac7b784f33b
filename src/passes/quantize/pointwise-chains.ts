/**
 * Chains of pointwise functions of one tensor, composed: x * relu6(x + 3) / 6 is one function of x, and one table.
 */
import { refKey } from '../../graph/edit';
import type { GraphNode, TensorRef } from '../../graph/ir';
import { arithmetic } from './match-pointwise';
import type { Quantizable } from './quantizable';

export interface Chain {
  /** The tensor that the whole chain is a function of. */
  readonly root: TensorRef;
  readonly f: (x: number) => number;
  /** Set if the chain is one function that only clamps. */
  readonly clamp?: readonly [min: number, max: number];
}

const identity = (x: number) => x;

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
  const chainOf = (ref: TensorRef): Chain => chains.get(refKey(ref)) ?? { root: ref, f: identity };
  for (const node of nodes) {
    const { pointwise, activations } = quantizable.get(node.name)!;
    const key = refKey({ node: node.name, index: 0 });
    const [a, b] = activations.map(chainOf);
    if (pointwise) {
      const { f, clamp } = pointwise;
      const before = a!.f;
      chains.set(
        key,
        before === identity ? { root: a!.root, f, clamp } : { root: a!.root, f: (x) => f(before(x)) },
      );
      continue;
    }
    const combine = arithmetic(node);
    if (combine && a && b && refKey(a.root) === refKey(b.root)) {
      chains.set(key, { root: a.root, f: (x) => combine(a.f(x), b.f(x)) });
    }
  }
  return chains;
}
