/**
 * Bias folding: (w . x + b) + c = w . x + (b + c).
 *
 * Pattern: BiasAdd, or a sum or difference with a constant, after a linear op with constant weights.
 * Replacement: the linear op with the new bias, under the name of the node that it absorbs.
 * Declines: another consumer of the linear op, an output in between, a clamp in between, a constant that is not one
 * value a channel.
 */
import { constantOf, GraphEditor } from '../graph/edit';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { foldableLinearOp, perChannel, writeLinearOp } from './linear-op';
import { ChangeLog, type Pass } from './pass';

/** The tensor that a node shifts and the constant it adds (`sign` 1) or subtracts (-1). */
function shifting(
  graph: Pick<Graph, 'constants'>,
  node: GraphNode,
): { input: TensorRef; by: Constant; sign: number } | undefined {
  if (!['BiasAdd', 'Add', 'AddV2', 'Sub'].includes(node.op)) return undefined;
  const [a, b] = node.inputs;
  const [left, right] = [constantOf(graph, a), constantOf(graph, b)];
  if (right && !left) return { input: a!, by: right, sign: node.op === 'Sub' ? -1 : 1 };
  return left && !right && node.op !== 'Sub' ? { input: b!, by: left, sign: 1 } : undefined;
}

export const foldBias: Pass = {
  name: 'fold-bias',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const match = shifting(editor, node);
      const op = match && foldableLinearOp(editor, match.input);
      if (!match || !op) continue;
      const rank = typeof op !== 'string' && op.kind === 'matmul' ? 2 : 4;
      const by =
        typeof op === 'string' || match.by.shape.length > rank
          ? undefined
          : perChannel(match.by, op.channels);
      if (typeof op === 'string' || !by) {
        const reason = typeof op === 'string' ? op : 'the constant is not one value a channel';
        if (node.op === 'BiasAdd' || typeof op !== 'string') log.declined(node.name, `not folded: ${reason}`);
        continue;
      }
      editor.remove(op.node.name);
      writeLinearOp(editor, node.name, {
        ...op,
        bias: by.map((v, c) => (op.bias?.[c] ?? 0) + match.sign * v),
      });
      log.rewrote(node.name, `folded ${node.op} into '${op.node.name}'`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
