/**
 * Separates fused ops that are no layers with a constant bias from the bias and the activation that they are fused with:
 * products of two activations, and layers that add another activation, a residual, in the place of the bias.
 *
 * Identity: fused(a, b) = f(a . b + bias).
 * Pattern: _FusedMatMul, _FusedConv2D, FusedDepthwiseConv2dNative, whose second operand is not constant, or whose bias is
 * not one constant a channel. A layer with a constant bias keeps it.
 * Replacement: the plain op, a sum and the activation, the last under the old name.
 * Declines: an activation of another kind.
 */
import { attr, stringsAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output } from '../graph/edit';
import type { Graph, GraphNode } from '../graph/ir';
import { outputChannels, perChannel } from './linear-op';
import { ChangeLog, type Pass } from './pass';

const PLAIN: Readonly<Record<string, string>> = {
  _FusedMatMul: 'MatMul',
  _FusedConv2D: 'Conv2D',
  FusedDepthwiseConv2dNative: 'DepthwiseConv2dNative',
};

/** Whether a fused op multiplies two activations, or adds something else than a constant a channel. */
function isNoLayer(graph: Graph, node: GraphNode): boolean {
  const [, weights, bias] = node.inputs;
  const filter = constantOf(graph, weights);
  if (!filter) return node.op === '_FusedMatMul';
  const channels = outputChannels(node, filter.shape);
  return channels !== undefined && perChannel(constantOf(graph, bias), channels) === undefined;
}

const ACTIVATIONS = new Set(['Relu', 'Relu6', 'Elu', 'Sigmoid', 'Tanh']);

export const splitProducts: Pass = {
  name: 'split-products',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const [a, b, bias] = node.inputs;
      const plain = PLAIN[node.op];
      if (!plain || !isNoLayer(graph, node)) continue;
      const [first, activation] = stringsAttr(node, 'fused_ops');
      if (first === undefined) continue;
      if (first !== 'BiasAdd' || (activation !== undefined && !ACTIVATIONS.has(activation))) {
        log.declined(node.name, `not separated: it is fused with ${activation ?? first}`);
        continue;
      }
      const { fused_ops: _, num_args: __, epsilon: ___, leakyrelu_alpha: ____, ...attrs } = node.attrs;
      const type = { T: attr.dtype('float32') };
      const product = editor.freeName(`${node.name}/product`);
      editor.setNode({ name: product, op: plain, inputs: [a, b], attrs });
      const sum = activation ? editor.freeName(`${node.name}/sum`) : node.name;
      editor.setNode({ name: sum, op: 'AddV2', inputs: [output(product), bias], attrs: type });
      if (activation) {
        editor.setNode({ name: node.name, op: activation, inputs: [output(sum)], attrs: type });
      }
      log.rewrote(node.name, `separated what ${node.op} adds: it is no constant bias`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
