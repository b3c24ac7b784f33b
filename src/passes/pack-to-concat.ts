/**
 * Pack as a concatenation, which has a quantized form.
 *
 * Identity: Pack along an axis is the concatenation along it of its inputs with that axis added.
 * Pattern: Pack of float32, along another axis than the first, of two and more tensors that are not all constants.
 * Replacement: ExpandDims of each input, and ConcatV2 under the old name.
 * Declines: nothing; a Pack along the first axis stays, as that is the batch of what it makes.
 */
import { attr, dtypeAttr, numberAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output, refKey } from '../graph/edit';
import { inferShapes } from '../graph/infer-shapes';
import type { Graph, GraphNode } from '../graph/ir';
import { copyOf } from '../graph/turns';
import { ChangeLog, type Pass } from './pass';

const isFloat = (node: GraphNode) => (dtypeAttr(node, 'T') ?? 'float32') === 'float32';

export const packToConcat: Pass = {
  name: 'pack-to-concat',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const packs = [...graph.nodes.values()].filter(
      (node) => node.op === 'Pack' && node.inputs.length > 1 && isFloat(node),
    );
    if (packs.length === 0) return { graph, changes: [] };
    const shapes = inferShapes(graph);
    const editor = new GraphEditor(graph);
    for (const node of packs) {
      const rank = shapes.get(refKey(node.inputs[0]))?.length;
      const given = numberAttr(node, 'axis') ?? 0;
      if (rank === undefined || node.inputs.some((ref) => constantOf(graph, ref))) continue;
      const axis = given < 0 ? given + rank + 1 : given;
      if (axis === 0) continue;
      const place = editor.addConstant(`${node.name}/axis`, {
        dtype: 'int32',
        shape: [],
        values: Int32Array.of(axis),
      });
      const parts = node.inputs.map((ref, i) => {
        const name = editor.freeName(`${node.name}/part_${i}`);
        editor.setNode({
          name,
          op: 'ExpandDims',
          inputs: [ref, place],
          attrs: { T: attr.dtype('float32'), ...copyOf(`${node.name}/part`) },
        });
        return output(name);
      });
      const attrs = { N: attr.int(parts.length), T: attr.dtype('float32'), Tidx: attr.dtype('int32') };
      editor.setNode({ name: node.name, op: 'ConcatV2', inputs: [...parts, place], attrs });
      log.rewrote(node.name, 'Pack as a concatenation');
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
