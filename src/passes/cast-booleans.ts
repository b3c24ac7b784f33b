/**
 * Moves of booleans as moves of numbers: kernels of TF.js's WebAssembly backend (4.22) write four bytes for each boolean, past
 * the end of their results.
 *
 * Identity: a boolean is the number 0 or 1.
 * Pattern: Select, Reverse, MatrixBandPart and StridedSlice of booleans.
 * Replacement: a Cast of what is moved, the op on numbers, and a Cast back under the old name.
 * Declines: nothing.
 */
import { attr, dtypeAttr } from '../graph/attrs';
import { GraphEditor, output } from '../graph/edit';
import type { DType, Graph, GraphNode, TensorRef } from '../graph/ir';
import { ChangeLog, type Pass } from './pass';

/** By op: the operands that are moved, and the type of number that the backend moves well. */
const MOVES: Readonly<Record<string, { operands: readonly number[]; dtype: 'float32' | 'int32' }>> = {
  Select: { operands: [1, 2], dtype: 'int32' },
  SelectV2: { operands: [1, 2], dtype: 'int32' },
  Reverse: { operands: [0], dtype: 'int32' },
  ReverseV2: { operands: [0], dtype: 'int32' },
  MatrixBandPart: { operands: [0], dtype: 'int32' },
  StridedSlice: { operands: [0], dtype: 'float32' },
};

function castNode(name: string, ref: TensorRef, from: DType, to: DType): GraphNode {
  return { name, op: 'Cast', inputs: [ref], attrs: { SrcT: attr.dtype(from), DstT: attr.dtype(to) } };
}

export const castBooleans: Pass = {
  name: 'cast-booleans',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const move = MOVES[node.op];
      if (!move || dtypeAttr(node, 'T') !== 'bool') continue;
      const { operands, dtype } = move;
      const inputs = node.inputs.map((ref, i) => {
        if (!operands.includes(i)) return ref;
        const name = editor.freeName(`${node.name}/number_${i}`);
        editor.setNode(castNode(name, ref, 'bool', dtype));
        return output(name);
      });
      const moved = editor.freeName(`${node.name}/numbers`);
      editor.setNode({ ...node, name: moved, inputs, attrs: { ...node.attrs, T: attr.dtype(dtype) } });
      editor.setNode(castNode(node.name, output(moved), dtype, 'bool'));
      log.rewrote(node.name, `${node.op} of booleans on ${dtype}`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
