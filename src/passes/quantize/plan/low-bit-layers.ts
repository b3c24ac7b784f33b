/**
 * Which weighted layers of a plan get low-bit weights, and why the others stay in INT8.
 *
 * The engine multiplies by low-bit weights in matrix products and 1x1 convolutions. A larger window becomes a 1x1
 * convolution by im2col, for which the size of its input must be known. Errors of the first and the last layer cost most
 * accuracy: both stay in INT8 unless a pattern names them. Depthwise convolutions have no low-bit form.
 */
import { consumers, refKey } from '../../../graph/edit';
import type { Graph, GraphNode } from '../../../graph/ir';
import type { LayerWeights } from '../../../quantization/layer-weights';
import { type LinearOp, linearKind, readLinearOp } from '../../linear-op';
import type { QuantizationPlan } from './plan';

export interface LowBitLayer {
  readonly op: LinearOp;
  readonly weights: LayerWeights;
}

export interface LowBitSelection {
  /** By node. */
  readonly layers: ReadonlyMap<string, LowBitLayer>;
  /** Why layers for which low-bit weights were requested stay in INT8. */
  readonly kept: ReadonlyMap<string, string>;
}

export interface RequestedWeights extends LayerWeights {
  /** A pattern names the layer. */
  readonly byPattern: boolean;
}

/** Convolutions and matrix products of a plan that multiply by weights, in topological order. */
export function weightedOps(graph: Graph, plan: QuantizationPlan): LinearOp[] {
  const nodes = plan.regions.flatMap(({ steps }) =>
    steps.flatMap((step) => (step.kind === 'op' && linearKind(step.node) ? [step.node] : [])),
  );
  const order = new Map([...graph.nodes.keys()].map((name, i) => [name, i]));
  return nodes
    .toSorted((a, b) => order.get(a.name)! - order.get(b.name)!)
    .map((node) => readLinearOp(graph, node) as LinearOp);
}

/** Names of nodes that depend on one of some nodes. */
function after(nodes: Iterable<GraphNode>, chosen: ReadonlySet<string>, readsOf: (n: GraphNode) => string[]) {
  const found = new Set<string>();
  for (const node of nodes) {
    if (readsOf(node).some((name) => chosen.has(name) || found.has(name))) found.add(node.name);
  }
  return found;
}

/** Those of some nodes that depend on no other one of them, and those that none depends on. */
export function endsOf(
  graph: Graph,
  weighted: ReadonlySet<string>,
): { first: Set<string>; last: Set<string> } {
  const readers = consumers(graph);
  const nodes = [...graph.nodes.values()];
  const later = after(nodes, weighted, (node) => node.inputs.map((i) => i.node));
  const earlier = after(nodes.toReversed(), weighted, (node) =>
    (readers.get(node.name) ?? []).map((r) => r.name),
  );
  const without = (set: ReadonlySet<string>) => new Set([...weighted].filter((name) => !set.has(name)));
  return { first: without(later), last: without(earlier) };
}

/** Why the engine cannot run a layer on low-bit weights. */
function impossible(op: LinearOp, { shapes }: QuantizationPlan): string | undefined {
  if (op.kind === 'depthwise') return 'depthwise convolutions have no low-bit form';
  if (op.kind === 'matmul') return undefined;
  const [height, width] = op.filter.shape;
  if (height === 1 && width === 1) return undefined;
  const [, h, w] = shapes.get(refKey(op.input))!;
  return h > 0 && w > 0
    ? undefined
    : `the size of its input is not known, which a window of ${height}x${width} needs`;
}

/**
 * @param requested how each layer should store its weights
 * @param ends treats the first and the last layer as any other
 */
export function selectLowBit(
  graph: Graph,
  plan: QuantizationPlan,
  requested: (node: string) => RequestedWeights,
  options: { ends?: boolean } = {},
): LowBitSelection {
  const ops = weightedOps(graph, plan);
  const { first, last } = endsOf(graph, new Set(ops.map(({ node }) => node.name)));
  const layers = new Map<string, LowBitLayer>();
  const kept = new Map<string, string>();
  for (const op of ops) {
    const { name } = op.node;
    const { byPattern, ...weights } = requested(name);
    if (weights.format === 'int8') continue;
    const byDefault =
      byPattern || options.ends
        ? undefined
        : first.has(name)
          ? 'it is the first layer'
          : last.has(name)
            ? 'it is the last layer'
            : undefined;
    const reason = impossible(op, plan) ?? byDefault;
    if (reason) kept.set(name, reason);
    else layers.set(name, { op, weights });
  }
  return { layers, kept };
}
