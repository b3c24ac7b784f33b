/**
 * Front ends that end in a logarithm, as the filter bank of a spectrogram.
 *
 * d log x = dx / x: a logarithm turns relative errors into absolute ones. INT8 has absolute errors of up to half a step,
 * as large as a small value itself, so that the quiet bands of a spectrogram would be noise (1e-3 and 1e-6 share a code).
 * All nodes before a logarithm get int16 activations if layers with weights read its result, and are left in float where
 * they have no such form. The logarithm of a sum with an exponential (softplus, Mish) is smooth and does not count.
 */

import { entryOf } from '../../../base/entry-of';
import { consumers } from '../../../graph/edit';
import type { Graph, GraphNode } from '../../../graph/ir';
import { linearKind } from '../../linear-op';

function reach(starts: readonly string[], next: (name: string) => readonly string[]): Set<string> {
  const seen = new Set(starts);
  for (const name of seen) for (const other of next(name)) seen.add(other);
  return seen;
}

function ofExponential(graph: Graph, node: GraphNode): boolean {
  const argument = graph.nodes.get(node.inputs[0].node);
  return argument?.inputs.some((i) => graph.nodes.get(i.node)?.op === 'Exp') ?? false;
}

export const PRECEDES_LOGARITHM = 'a logarithm follows, which needs relative precision';

/** Names of the nodes before a logarithm in the middle of the network, itself included. */
export function nodesBeforeLogarithm(graph: Graph): ReadonlySet<string> {
  const readers = consumers(graph);
  const readersOf = (name: string) => readers.get(name)?.map((n) => n.name) ?? [];
  const inputsOf = (name: string) => entryOf(graph.nodes, name).inputs.map((i) => i.node);
  const isWeighted = (name: string) => linearKind(entryOf(graph.nodes, name)) !== undefined;
  const logarithms = [...graph.nodes.values()].filter(
    (node) =>
      node.op === 'Log' && !ofExponential(graph, node) && [...reach([node.name], readersOf)].some(isWeighted),
  );
  return reach(
    logarithms.map((n) => n.name),
    inputsOf,
  );
}
