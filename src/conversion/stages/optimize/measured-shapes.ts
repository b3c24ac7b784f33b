/** Shapes that inference does not know are taken from the calibration data, where layers wait for them. */
import { measureShapes } from '../../../calibration/measure-shapes';
import { attr } from '../../../graph/attrs';
import { refKey } from '../../../graph/edit';
import { inferShapes, type Shapes } from '../../../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import { nodesInControlFlow } from '../../../passes/quantize/plan/control-flow';
import type { Settings } from '../../settings';

/** Ops whose weights or products are worth a run. */
const WEIGHTED = /Conv|MatMul|Einsum/;

/** Tensors of unknown rank that weighted ops depend on, without those between two of known rank. */
function unknownBefore(graph: Graph, shapes: Shapes): TensorRef[] {
  const inside = nodesInControlFlow(graph);
  const isUnknown = (ref: TensorRef) => shapes.has(refKey(ref)) && !shapes.get(refKey(ref));
  const found = new Map<string, TensorRef>();
  const queue = [...graph.nodes.values()]
    .filter(({ op, name }) => WEIGHTED.test(op) && !inside.has(name))
    .flatMap(({ inputs }) => inputs);
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (inside.has(ref.node) || found.has(refKey(ref)) || !isUnknown(ref)) continue;
    found.set(refKey(ref), ref);
    queue.push(...graph.nodes.get(ref.node)!.inputs);
  }
  return [...found.values()];
}

/** A node with the shapes of its outputs, as TensorFlow writes them. */
function withShapes(node: GraphNode, shapes: readonly (readonly number[] | undefined)[]): GraphNode {
  return { ...node, attrs: { ...node.attrs, _output_shapes: attr.shapes(shapes) } };
}

/** @throws LowbitError 'cancelled' on abort */
export async function withMeasuredShapes(graph: Graph, { data, signal }: Settings): Promise<Graph> {
  if (!data) return graph;
  const refs = unknownBefore(graph, inferShapes(graph));
  if (refs.length === 0) return graph;
  const measured = await measureShapes(graph, refs, data, signal);
  const byNode = new Map<string, (readonly number[] | undefined)[]>();
  for (const [i, { node, index }] of refs.entries()) {
    const shapes = byNode.get(node) ?? [];
    shapes[index] = measured[i];
    byNode.set(node, shapes);
  }
  const nodes = [...graph.nodes.values()].map((node): [string, GraphNode] => {
    const shapes = byNode.get(node.name);
    return [node.name, shapes ? withShapes(node, Array.from(shapes)) : node];
  });
  return { ...graph, nodes: new Map(nodes) };
}
