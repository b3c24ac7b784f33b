/**
 * Splits as slices, so that each part is a node of its own.
 *
 * Identity: part i of a split along an axis is the slice of its size at the sum of the sizes before it.
 * Pattern: Split, SplitV and Unpack of float32 along an axis of known size.
 * Replacement: a Slice for every part that is read, after Unpack with a Squeeze of the axis.
 * Declines: unknown sizes, a part that is an output of the model itself.
 */
import { attr, dtypeAttr, numberAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output, outputNodes, refKey } from '../graph/edit';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { copyOfPart } from '../graph/turns';
import { ChangeLog, type Pass } from './pass';

const SPLITS = new Set(['Split', 'SplitV', 'Unpack']);

/** Which of a split's inputs it splits. */
const inputOf = ({ op }: GraphNode) => (op === 'Split' ? 1 : 0);

interface Parts {
  readonly from: TensorRef;
  readonly axis: number;
  readonly rank: number;
  /** Of each part along the axis. */
  readonly sizes: readonly number[];
}

/** @param shapes of the graph before anything was split: `node` is as it was then */
function partsOf(graph: Graph, shapes: Shapes, node: GraphNode): Omit<Parts, 'from'> | undefined {
  const from = node.inputs[inputOf(node)];
  const given =
    node.op === 'Unpack'
      ? (numberAttr(node, 'axis') ?? 0)
      : constantOf(graph, node.inputs[node.op === 'Split' ? 0 : 2])?.values[0];
  const rank = shapes.get(refKey(from))?.length;
  if (given === undefined || rank === undefined) return undefined;
  const axis = given < 0 ? given + rank : given;
  const sizes: number[] = [];
  for (let i = 0; shapes.has(refKey(output(node.name, i))); i++) {
    const shape = shapes.get(refKey(output(node.name, i)));
    sizes.push(node.op === 'Unpack' ? 1 : (shape?.[axis] ?? -1));
  }
  return sizes.length > 0 && !sizes.includes(-1) ? { axis, rank, sizes } : undefined;
}

/** Adds the slice that is part `index`. */
function slice(editor: GraphEditor, node: GraphNode, parts: Parts, index: number): TensorRef {
  const { from, axis, rank, sizes } = parts;
  const start = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  const along = (value: number, elsewhere: number) =>
    Int32Array.from({ length: rank }, (_, i) => (i === axis ? value : elsewhere));
  const constant = (what: string, values: Int32Array) =>
    editor.addConstant(`${node.name}/${what}`, { dtype: 'int32', shape: [rank], values });
  const bounds = [constant('begin', along(start, 0)), constant('size', along(sizes[index], -1))];
  const name = editor.freeName(`${node.name}/part_${index}`);
  const part = copyOfPart(node, `part_${index}`);
  const attrs: GraphNode['attrs'] = { ...(node.attrs.T && { T: node.attrs.T }), ...part };
  editor.setNode({ name, op: 'Slice', inputs: [from, ...bounds], attrs });
  if (node.op !== 'Unpack') return output(name);
  const squeezed = editor.freeName(`${name}/squeezed`);
  const dims = { squeeze_dims: attr.ints([axis]) };
  editor.setNode({ name: squeezed, op: 'Squeeze', inputs: [output(name)], attrs: { ...attrs, ...dims } });
  return output(squeezed);
}

export const splitToSlices: Pass = {
  name: 'split-to-slices',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const splits = [...graph.nodes.values()].filter(
      (node) => SPLITS.has(node.op) && (dtypeAttr(node, 'T') ?? 'float32') === 'float32',
    );
    if (splits.length === 0) return { graph, changes: [] };
    const shapes = inferShapes(graph);
    const outputs = outputNodes(graph);
    const editor = new GraphEditor(graph);
    const reads = new Set([...graph.nodes.values()].flatMap(({ inputs }) => inputs.map(refKey)));
    for (const node of splits) {
      const parts = outputs.has(node.name) ? undefined : partsOf(graph, shapes, node);
      if (!parts) {
        const reason = outputs.has(node.name) ? 'a part is an output' : 'its axis or its sizes are not known';
        log.declined(node.name, `not sliced: ${reason}`);
        continue;
      }
      // A split before this one may have been replaced: its part is a slice now.
      const from = editor.nodes.get(node.name)?.inputs[inputOf(node)] ?? node.inputs[inputOf(node)];
      parts.sizes.forEach((_, index) => {
        const part = output(node.name, index);
        if (reads.has(refKey(part))) editor.replaceUses(part, slice(editor, node, { ...parts, from }, index));
      });
      editor.remove(node.name);
      log.rewrote(node.name, `${node.op} into slices`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
