/**
 * Layout ops sink below the bias and the clamp that follow them, so that these reach the linear op before.
 *
 * Identity: DepthToSpace moves channel (i * block + j) * C + c to channel c of pixel (i, j), and a reshape that keeps the
 * last axis keeps channels. So a function f_c of channel c after the layout op is f_(k mod C) of channel k before it.
 * Pattern: such a layout op on the result of a linear op, read by one node: a sum or product with one constant a channel,
 * or Relu, Relu6.
 * Replacement: that node with its constant repeated for all channels, then the layout op under the node's name.
 * Declines: an output in between, other constants.
 */

import { attr } from '../graph/attrs';
import { constantOf, consumers, GraphEditor, output, outputNodes, refKey } from '../graph/edit';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { linearKind, perChannel } from './linear-op';
import { ChangeLog, type Pass } from './pass';
import { RENAMES } from './quantize/match/reshape';

const SHIFTS = new Set(['BiasAdd', 'Add', 'AddV2', 'Sub', 'Mul']);

const CLAMPS = new Set(['Relu', 'Relu6']);

function repeated(values: Float32Array, times: number): Constant {
  const all = new Float32Array(values.length * times);
  for (let i = 0; i < times; i++) all.set(values, i * values.length);
  return { dtype: 'float32', shape: [all.length], values: all };
}

interface Channels {
  readonly before: number;
  readonly after: number;
  /** Dimensions of the result. */
  readonly rank: number;
}

/** The channels before and after a layout op on the result of a linear op; undefined for other nodes. */
function channelsOf(graph: Graph, shapes: Shapes, layout: GraphNode): Channels | undefined {
  if (layout.op !== 'DepthToSpace' && !RENAMES.has(layout.op)) return undefined;
  if (!linearKind(graph.nodes.get(layout.inputs[0].node)!)) return undefined;
  const result = shapes.get(refKey(output(layout.name)));
  const before = shapes.get(refKey(layout.inputs[0]))?.at(-1) ?? -1;
  const after = result?.at(-1) ?? -1;
  const fits = layout.op === 'DepthToSpace' ? before % after === 0 : before === after;
  return result && before > 0 && after > 0 && fits ? { before, after, rank: result.length } : undefined;
}

/** The inputs of a node before the layout op; undefined if the node cannot be computed there. */
function inputsBefore(
  editor: GraphEditor,
  { before, after, rank }: Channels,
  node: GraphNode,
  from: TensorRef,
): TensorRef[] | undefined {
  if (CLAMPS.has(node.op)) return [from];
  if (!SHIFTS.has(node.op) || node.inputs.length !== 2) return undefined;
  const constants = node.inputs.map((ref) => constantOf(editor, ref));
  const constant = constants.find((c) => c);
  const values = constant && constant.shape.length <= rank ? perChannel(constant, after) : undefined;
  if (!values) return undefined;
  const added = editor.addConstant(`${node.name}/channels`, repeated(values, before / after));
  return constants.map((c) => (c ? added : from));
}

export const sinkLayoutOps: Pass = {
  name: 'sink-layout-ops',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const shapes = inferShapes(graph);
    const outputs = outputNodes(graph);
    const readers = consumers(graph);
    const editor = new GraphEditor(graph);
    for (const layout of graph.nodes.values()) {
      const channels = channelsOf(graph, shapes, layout);
      const [node, ...others] = readers.get(layout.name) ?? [];
      if (!channels || !node || others.length > 0 || outputs.has(layout.name)) continue;
      const inputs = inputsBefore(editor, channels, node, layout.inputs[0]);
      if (!inputs) continue;
      const name = editor.freeName(`${node.name}/before`);
      editor.setNode({ name, op: node.op, inputs, attrs: { T: attr.dtype('float32') } });
      editor.setNode({ ...layout, name: node.name, inputs: [output(name), ...layout.inputs.slice(1)] });
      editor.remove(layout.name);
      log.rewrote(node.name, `${node.op} before the ${layout.op} '${layout.name}'`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
