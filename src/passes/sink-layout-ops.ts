/**
 * Moves of elements after what follows them, so that a bias and a clamp reach the linear op before them.
 *
 * Identity: DepthToSpace moves channel (i * block + j) * C + c to channel c of pixel (i, j), and a reshape that keeps the
 * last axis moves none. So f_c applied afterwards is f_(k mod C) applied to channel k before.
 * Pattern: such a move of a linear op's result, with one reader: a sum or product with one constant a channel, or Relu,
 * Relu6.
 * Replacement: the op with its constant repeated for all channels, then the move under the op's name.
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

/** The channels of a move of a linear op's result; undefined for other nodes. */
function channelsOf(graph: Graph, shapes: Shapes, moved: GraphNode): Channels | undefined {
  if (moved.op !== 'DepthToSpace' && !RENAMES.has(moved.op)) return undefined;
  if (!linearKind(graph.nodes.get(moved.inputs[0].node)!)) return undefined;
  const result = shapes.get(refKey(output(moved.name)));
  const before = shapes.get(refKey(moved.inputs[0]))?.at(-1) ?? -1;
  const after = result?.at(-1) ?? -1;
  const fits = moved.op === 'DepthToSpace' ? before % after === 0 : before === after;
  return result && before > 0 && after > 0 && fits ? { before, after, rank: result.length } : undefined;
}

/** The inputs of a node when it comes before the move; undefined: it cannot. */
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
    for (const moved of graph.nodes.values()) {
      const channels = channelsOf(graph, shapes, moved);
      const [node, ...others] = readers.get(moved.name) ?? [];
      if (!channels || !node || others.length > 0 || outputs.has(moved.name)) continue;
      const inputs = inputsBefore(editor, channels, node, moved.inputs[0]);
      if (!inputs) continue;
      const name = editor.freeName(`${node.name}/before`);
      editor.setNode({ name, op: node.op, inputs, attrs: { T: attr.dtype('float32') } });
      editor.setNode({ ...moved, name: node.name, inputs: [output(name), ...moved.inputs.slice(1)] });
      editor.remove(moved.name);
      log.rewrote(node.name, `${node.op} before the ${moved.op} '${moved.name}'`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
