/**
 * Splits sums of many tensors into sums of two, and moves their constants to where a linear op can fold them.
 *
 * Identities: a + b + c = (a + b) + c; (w . x + b) + y + c = (w . x + (b + c)) + y.
 * Pattern: AddN; or a constant added to a sum, one part of which is a linear op.
 * Replacement: AddV2 of two tensors each; the constant added to the linear op, where bias folding finds it.
 * Declines: another consumer of the sum or of the linear op, an output in between, a clamp, a constant that is not one
 * value a channel.
 */
import { attr } from '../graph/attrs';
import { constantOf, consumers, GraphEditor, output, outputNodes } from '../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { foldableLinearOp, perChannel } from './linear-op';
import { ChangeLog, type Pass } from './pass';

const SUMS = new Set(['Add', 'AddV2']);

const TYPE = { T: attr.dtype('float32') };

function splitMany(graph: Graph, node: GraphNode): Graph {
  const editor = new GraphEditor(graph);
  const [first, ...rest] = node.inputs;
  let sum = first!;
  rest.forEach((part, i) => {
    const name = i === rest.length - 1 ? node.name : editor.freeName(`${node.name}/sum`);
    editor.setNode({ name, op: 'AddV2', inputs: [sum, part], attrs: TYPE });
    sum = output(name);
  });
  return editor.finish();
}

/** The linear op in the sum that a node reads, into which the node's constant can be folded as a bias. */
function linearPart(
  graph: Graph,
  node: GraphNode,
): { part: TensorRef; constant: TensorRef; sum: GraphNode } | undefined {
  const constant = node.inputs.find((i) => constantOf(graph, i));
  const below = node.inputs.find((i) => !constantOf(graph, i));
  const sum = below && graph.nodes.get(below.node);
  if (!constant || !sum || !SUMS.has(sum.op) || sum.inputs.some((i) => constantOf(graph, i)))
    return undefined;
  if (consumers(graph).get(sum.name)!.length > 1 || outputNodes(graph).has(sum.name)) return undefined;
  const added = constantOf(graph, constant)!;
  const part = sum.inputs.find((i) => {
    const op = foldableLinearOp(graph, i);
    if (typeof op === 'string' || added.shape.length > (op.kind === 'matmul' ? 2 : 4)) return false;
    return perChannel(added, op.channels) !== undefined;
  });
  return part && { part, constant, sum };
}

export const splitSums: Pass = {
  name: 'split-sums',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    let current = graph;
    for (const { name } of graph.nodes.values()) {
      const node = current.nodes.get(name);
      if (node?.op === 'AddN' && node.inputs.length > 1) {
        current = splitMany(current, node);
        log.rewrote(name, `AddN of ${node.inputs.length} tensors as sums of two`);
      }
      const match = node && SUMS.has(node.op) ? linearPart(current, node) : undefined;
      if (!match) continue;
      const { part, constant, sum } = match;
      const editor = new GraphEditor(current);
      const biased = editor.freeName(`${name}/biased`);
      const others = sum.inputs.filter((i) => i !== part);
      editor.setNode({ name: biased, op: 'AddV2', inputs: [part, constant], attrs: TYPE });
      editor.setNode({ ...node!, inputs: [output(biased), ...others] });
      editor.remove(sum.name);
      current = editor.finish();
      log.rewrote(name, `its constant is added to '${part.node}'`);
    }
    return { graph: current, changes: log.changes };
  },
};
