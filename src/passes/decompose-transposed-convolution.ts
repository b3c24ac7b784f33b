/**
 * Transposed convolutions whose windows do not overlap, as a 1x1 convolution and DepthToSpace.
 *
 * Identity: with a window as large as the stride s, pixel (s y + i, s x + j) of the result is the product of pixel (y, x)
 * with the filter's (i, j), and of nothing else: a 1x1 convolution to s * s * out channels, then DepthToSpace, which moves
 * nothing where s is 1.
 * Pattern: Conv2DBackpropInput, NHWC, with a constant filter [s, s, out, in] and strides s, to s times the input's size.
 * Declines: another window, an output of another size, dilations.
 */
import { attr, intsAttr, stringAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output, refKey } from '../graph/edit';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Constant, Graph, GraphNode } from '../graph/ir';
import { ChangeLog, type Pass } from './pass';

/** [s, s, out, in] -> [1, 1, in, s * s * out] */
function asPointwiseFilter({ shape, values }: Constant): Constant {
  const [height, width, out, inChannels] = shape;
  const columns = height * width * out;
  const reordered = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    reordered[(i % inChannels) * columns + Math.floor(i / inChannels)] = values[i];
  }
  return { dtype: 'float32', shape: [1, 1, inChannels, columns], values: reordered };
}

function stride(graph: Graph, shapes: Shapes, node: GraphNode): number | string {
  const filter = constantOf(graph, node.inputs[1]);
  const strides = intsAttr(node, 'strides');
  const [from, to] = [shapes.get(refKey(node.inputs[2])), shapes.get(refKey(output(node.name)))];
  if (filter?.dtype !== 'float32' || !from || !to) return 'its weights or its shape are not constant';
  const [s] = filter.shape;
  const apart = filter.shape[1] === s && strides[1] === s && strides[2] === s;
  if (!apart || intsAttr(node, 'dilations').some((d) => d !== 1)) return 'its windows overlap';
  if ((stringAttr(node, 'data_format') ?? 'NHWC').toUpperCase() !== 'NHWC') return 'its data is not NHWC';
  return [1, 2].every((axis) => from[axis] > 0 && to[axis] === from[axis] * s) ? s : 'its output is cut';
}

export const decomposeTransposedConvolution: Pass = {
  name: 'decompose-transposed-convolution',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const transposed = [...graph.nodes.values()].filter(({ op }) => op === 'Conv2DBackpropInput');
    if (transposed.length === 0) return { graph, changes: [] };
    const shapes = inferShapes(graph);
    const editor = new GraphEditor(graph);
    for (const node of transposed) {
      const block = stride(graph, shapes, node);
      if (typeof block === 'string') {
        log.declined(node.name, `not decomposed: ${block}`);
        continue;
      }
      const filter = editor.addConstant(
        `${node.name}/filter`,
        asPointwiseFilter(constantOf(graph, node.inputs[1])!),
      );
      const name = block === 1 ? node.name : editor.freeName(`${node.name}/pixels`);
      const common = { T: attr.dtype('float32'), data_format: attr.string('NHWC') };
      const ones = attr.ints([1, 1, 1, 1]);
      const window = { strides: ones, dilations: ones, padding: attr.string('VALID') };
      editor.setNode({
        name,
        op: 'Conv2D',
        inputs: [node.inputs[2], filter],
        attrs: { ...common, ...window },
      });
      if (block > 1) {
        const attrs = { ...common, block_size: attr.int(block) };
        editor.setNode({ name: node.name, op: 'DepthToSpace', inputs: [output(name)], attrs });
      }
      const moves = block > 1 ? ` and DepthToSpace by ${block}` : '';
      log.rewrote(node.name, `Conv2DBackpropInput as a 1x1 convolution${moves}`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
