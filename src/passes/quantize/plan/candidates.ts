/** The nodes of a graph that have a form in the quantized program, and why the others have none. */
import { entryOf } from '../../../base/entry-of';
import { dtypeAttr } from '../../../graph/attrs';
import { consumers, outputNodes } from '../../../graph/edit';
import type { Shapes } from '../../../graph/infer-shapes';
import type { DType, Graph, GraphNode } from '../../../graph/ir';
import { matchNode } from '../match/match-node';
import {
  type FloatCapable,
  isFloatCapable,
  type Quantizable,
  type QuantizableOp,
} from '../match/quantizable';
import { nodesInControlFlow } from './control-flow';
import { nodesOfInfiniteWeights } from './infinite-weights';
import { findMasks, type Masks } from './masks';

/** By node. */
export type Candidates = ReadonlyMap<string, Quantizable>;

/** A node that is planned as an op of its own. */
export function opOf(candidates: Candidates, name: string): QuantizableOp {
  const quantizable = entryOf(candidates, name);
  if (quantizable.kind === 'pointwise') throw new Error(`'${name}' is a function, not an op of its own.`);
  return quantizable;
}

/** A node that is planned with float32 input and output. */
export function floatFormOf(candidates: Candidates, name: string): FloatCapable {
  const quantizable = entryOf(candidates, name);
  if (!isFloatCapable(quantizable)) throw new Error(`'${name}' has no form on float32.`);
  return quantizable;
}

function isSource(node: GraphNode): boolean {
  return node.op === 'Const' || node.op.startsWith('Placeholder');
}

/** The dtype of a node's result, as far as its attributes or its inputs show it. */
function resultTypes(graph: Graph): Map<string, DType> {
  const types = new Map<string, DType>();
  for (const node of graph.nodes.values()) {
    const declared = dtypeAttr(node, node.op === 'Cast' ? 'DstT' : node.op === 'Shape' ? 'out_type' : 'T');
    const source =
      graph.constants.get(node.name)?.dtype ?? graph.inputs.find((i) => i.ref.node === node.name)?.dtype;
    const inherited = node.inputs[0] ? types.get(node.inputs[0].node) : undefined;
    types.set(node.name, source ?? declared ?? (node.op === 'Shape' ? 'int32' : inherited) ?? 'float32');
  }
  return types;
}

/** Nodes of which another output than the first is read, each with that reason. */
function nodesOfSeveralOutputs(graph: Graph): Map<string, string> {
  const refs = [...[...graph.nodes.values()].flatMap((n) => n.inputs), ...graph.outputs.map((o) => o.ref)];
  return new Map(
    refs.filter((r) => r.index > 0).map((r) => [r.node, 'more than its first output is read'] as const),
  );
}

/** Fuses a scale and shift of each channel into the layer before, where nothing else reads that layer. */
function fuseChannelAffines(graph: Graph, candidates: Map<string, Quantizable>): void {
  const readers = consumers(graph);
  const outputs = outputNodes(graph);
  for (const [name, candidate] of candidates) {
    if (candidate.kind !== 'channelAffine') continue;
    const [from] = candidate.activations;
    const layer = candidates.get(from.node);
    if (layer?.kind !== 'weighted' || !layer.fuseAffine) continue;
    if (outputs.has(from.node) || entryOf(readers, from.node).length > 1) continue;
    candidates.set(name, layer.fuseAffine(candidate.affine));
  }
}

/**
 * @param requested nodes to leave in float, each with the reason
 * @returns the candidates, and by name why the other nodes stay float
 */
export function findCandidates(
  graph: Graph,
  shapes: Shapes,
  requested: ReadonlyMap<string, string> = new Map(),
  { onFloat32, pads }: Masks = findMasks(graph, requested),
): { candidates: Map<string, Quantizable>; float: Map<string, string> } {
  const types = resultTypes(graph);
  const reasons = [
    requested,
    nodesInControlFlow(graph),
    nodesOfSeveralOutputs(graph),
    nodesOfInfiniteWeights(graph),
  ];
  const candidates = new Map<string, Quantizable>();
  const float = new Map<string, string>();
  for (const node of graph.nodes.values()) {
    if (isSource(node)) continue;
    const reason = reasons.find((of) => of.has(node.name))?.get(node.name);
    const result =
      reason ??
      matchNode(
        node,
        { graph, shapes, lowestPads: pads, onFloat32: onFloat32.has(node.name) },
        entryOf(types, node.name),
      );
    if (typeof result === 'string') float.set(node.name, result);
    else candidates.set(node.name, result);
  }
  fuseChannelAffines(graph, candidates);
  return { candidates, float };
}
