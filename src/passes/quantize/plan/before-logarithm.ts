/**
 * Front ends that end in a logarithm, as the filter bank of a spectrogram.
 *
 * d log x = dx / x: a logarithm turns relative errors into absolute ones. INT8 has absolute errors of up to half a step,
 * as large as a small value itself, so that the quiet bands of a spectrogram would be noise (1e-3 and 1e-6 share a code).
 * All nodes before a logarithm stay float if layers with weights read its result. The logarithm of a sum with an
 * exponential (softplus, Mish) is smooth and does not count.
 */

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

const REASON = 'a logarithm follows, which needs relative precision';

/** The nodes before a logarithm in the middle of the network, itself included, each with that reason. */
export function nodesBeforeLogarithm(graph: Graph): ReadonlyMap<string, string> {
  const readers = consumers(graph);
  const readersOf = (name: string) => readers.get(name)?.map((n) => n.name) ?? [];
  const inputsOf = (name: string) => graph.nodes.get(name)!.inputs.map((i) => i.node);
  const isWeighted = (name: string) => linearKind(graph.nodes.get(name)!) !== undefined;
  const logarithms = [...graph.nodes.values()].filter(
    (node) =>
      node.op === 'Log' && !ofExponential(graph, node) && [...reach([node.name], readersOf)].some(isWeighted),
  );
  const before = reach(
    logarithms.map((n) => n.name),
    inputsOf,
  );
  return new Map([...before].map((name) => [name, REASON]));
}
