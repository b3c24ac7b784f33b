/**
 * Chains of pointwise nodes on float32 as one op each, where the engine has the function that they compute: a
 * hard-swish of four nodes is one pass over memory instead of four.
 */
import { output, refKey } from '../../../graph/edit';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import { OpKind } from '../../../program/program';
import { appendFloatAffine, appendFloatFunction } from '../lower/float-functions';
import { affineFunction, gateFunction, namedFunction } from '../match/known-functions';
import type { Quantizable } from '../match/quantizable';
import type { Candidates } from './candidates';
import { type Chain, extendChains, findChains, IDENTITY } from './pointwise-chains';

const keyOf = ({ name }: GraphNode) => refKey(output(name));

/** The one op that a chain is, if there is one. */
function knownForm({ name }: GraphNode, { root, f }: Chain): Quantizable | undefined {
  const affine = affineFunction(f);
  const gate = affine ? undefined : gateFunction(f);
  const known = affine ?? gate;
  if (known) {
    const { factor, summand, clamp } = known;
    const clamps = affine && factor === 1 && summand === 0;
    return {
      kind: 'pointwise',
      activations: [root],
      f,
      ...(clamps && { clamp }),
      lowerFloat: (builder, result) =>
        appendFloatAffine(builder, name, root, result, {
          kind: gate ? OpKind.FloatGate : OpKind.FloatAffine,
          factor: Float32Array.of(factor),
          summand: Float32Array.of(summand),
          clamp,
        }),
    };
  }
  const kind = namedFunction(f);
  if (kind === undefined) return undefined;
  return {
    kind: 'pointwise',
    activations: [root],
    f,
    lowerFloat: (builder, result) => appendFloatFunction(builder, name, root, result, kind),
  };
}

/** Keys of tensors that a node reads which is no function of one tensor: they are computed, so a chain can begin there. */
function readOtherwise(
  nodes: readonly GraphNode[],
  candidates: Candidates,
  floatNodes: readonly GraphNode[],
) {
  const functions = findChains(floatNodes, candidates);
  const others = nodes.filter((node) => !functions.has(keyOf(node)));
  return new Set(others.flatMap(({ name }) => candidates.get(name)!.activations.map(refKey)));
}

/**
 * Finds the nodes that end such a chain; a single function is one too.
 *
 * @param nodes a region, in topological order
 * @param leaving keys of its outputs
 * @returns by name, the longest chain that ends in a node, as one op
 */
export function findFloatChains(
  nodes: readonly GraphNode[],
  candidates: Candidates,
  isFloatInOut: (node: string) => boolean,
  leaving: ReadonlySet<string>,
): Map<string, Quantizable> {
  const floatNodes = nodes.filter(({ name }) => isFloatInOut(name));
  const existing = readOtherwise(nodes, candidates, floatNodes);
  const chains = new Map<string, readonly Chain[]>();
  const endingIn = (ref: TensorRef): readonly Chain[] => {
    const key = refKey(ref);
    const farther = existing.has(key) || leaving.has(key) ? undefined : chains.get(key);
    return [...(farther ?? []), { root: ref, f: IDENTITY }];
  };
  const forms = new Map<string, Quantizable>();
  for (const node of floatNodes) {
    const own = extendChains(node, candidates.get(node.name)!, endingIn);
    chains.set(keyOf(node), own);
    for (const chain of own) {
      const form = knownForm(node, chain);
      if (!form) continue;
      forms.set(node.name, form);
      break;
    }
  }
  return forms;
}
