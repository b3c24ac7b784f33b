/**
 * Activation fusion: a clamp after a linear op is part of its store.
 *
 * Pattern: Relu, Relu6, or ClipByValue to [0, 6], after a linear op with constant weights.
 * Replacement: TF.js's fused op, under the name of the activation. Other activations stay nodes of their own, because
 * the range of their input must be observed; they are fused when the graph is quantized.
 * Declines: another consumer of the linear op, an output in between, an earlier clamp.
 */
import { constantOf, GraphEditor } from '../graph/edit';
import type { Graph, GraphNode } from '../graph/ir';
import { type ClampName, foldableLinearOp, linearKind, writeLinearOp } from './linear-op';
import { ChangeLog, type Pass } from './pass';

function clampOf(graph: Graph, node: GraphNode): ClampName | undefined {
  if (node.op === 'Relu' || node.op === 'Relu6') return node.op;
  if (node.op !== 'ClipByValue') return undefined;
  const [min, max] = [1, 2].map((i) => constantOf(graph, node.inputs[i])?.values[0]);
  return min === 0 && max === 6 ? 'Relu6' : undefined;
}

export const fuseActivations: Pass = {
  name: 'fuse-activations',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const activation = clampOf(graph, node);
      const producer = activation && editor.nodes.get(node.inputs[0].node);
      if (!producer || !linearKind(producer)) continue;
      const op = foldableLinearOp(editor, node.inputs[0]);
      if (typeof op === 'string') {
        log.declined(node.name, `not fused: ${op}`);
        continue;
      }
      editor.remove(op.node.name);
      writeLinearOp(editor, node.name, { ...op, activation });
      log.rewrote(node.name, `fused ${node.op} into '${op.node.name}'`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
