/**
 * Layers, the units that a precision is chosen for: an op with the pointwise functions that are fused into its store, or
 * functions that are a table of their own.
 */
import { output, refKey } from '../../../graph/edit';
import type { Graph, TensorRef } from '../../../graph/ir';
import { RENAMES } from '../match/reshape';
import type { QuantizationPlan } from './plan';
import type { Step } from './steps';

export interface Layer {
  /** Name of the op's node; for a table, of the node whose result it is. */
  readonly name: string;
  readonly op: string;
  /** Names of all its nodes. */
  readonly nodes: ReadonlySet<string>;
  readonly result: TensorRef;
  /** Whether it multiplies by weights. */
  readonly weighted: boolean;
}

/** Nodes on the paths from `roots` (not included) to `result`. */
function between(graph: Graph, roots: readonly TensorRef[], result: TensorRef): Set<string> {
  const ends = new Set(roots.map(refKey));
  const nodes = new Set<string>();
  const queue = [result];
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (ends.has(refKey(ref)) || graph.constants.has(ref.node) || nodes.has(ref.node)) continue;
    nodes.add(ref.node);
    queue.push(...graph.nodes.get(ref.node)!.inputs);
  }
  return nodes;
}

export function layerOf(graph: Graph, step: Step): Layer {
  if (step.kind === 'lookup') {
    const { op } = graph.nodes.get(step.to.node)!;
    const nodes = between(graph, [step.from], step.to);
    return { name: step.to.node, op, nodes, result: step.to, weighted: false };
  }
  const { node, quantizable } = step;
  const result = step.kind === 'op' ? step.store.result : step.result;
  const roots = step.kind === 'op' ? [output(node.name)] : quantizable.activations;
  const nodes = between(graph, roots, result).add(node.name);
  return {
    name: node.name,
    op: node.op,
    nodes,
    result,
    weighted: quantizable.kind === 'weighted',
  };
}

/** The layers of a plan in topological order, without those that only rename dimensions. */
export function layersOf(graph: Graph, plan: QuantizationPlan): Layer[] {
  return plan.regions
    .flatMap((region) => region.steps.map((step) => layerOf(graph, step)))
    .filter(({ op }) => !RENAMES.has(op));
}
