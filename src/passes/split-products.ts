/**
 * Separates matrix products of two activations from the bias and the activation that they are fused with.
 *
 * Identity: fused(a, b) = f(a . b + bias).
 * Pattern: _FusedMatMul of two activations; one with constant weights is a dense layer, and keeps its bias.
 * Replacement: MatMul, BiasAdd and the activation, the last under the old name.
 * Declines: an activation of another kind.
 */
import { attr, stringsAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output } from '../graph/edit';
import type { Graph } from '../graph/ir';
import { ChangeLog, type Pass } from './pass';

const ACTIVATIONS = new Set(['Relu', 'Relu6', 'Elu', 'Sigmoid', 'Tanh']);

export const splitProducts: Pass = {
  name: 'split-products',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const [a, b, bias] = node.inputs;
      if (node.op !== '_FusedMatMul' || constantOf(graph, b)) continue;
      const [first, activation] = stringsAttr(node, 'fused_ops');
      if (first !== 'BiasAdd' || (activation !== undefined && !ACTIVATIONS.has(activation))) {
        log.declined(node.name, `not separated: it is fused with ${activation ?? first}`);
        continue;
      }
      const { fused_ops: _, num_args: __, epsilon: ___, leakyrelu_alpha: ____, ...attrs } = node.attrs;
      const type = { T: attr.dtype('float32') };
      const product = editor.freeName(`${node.name}/product`);
      editor.setNode({ name: product, op: 'MatMul', inputs: [a, b], attrs });
      const sum = activation ? editor.freeName(`${node.name}/sum`) : node.name;
      editor.setNode({ name: sum, op: 'AddV2', inputs: [output(product), bias], attrs: type });
      if (activation) {
        editor.setNode({ name: node.name, op: activation, inputs: [output(sum)], attrs: type });
      }
      log.rewrote(node.name, 'separated the bias from a product of two activations');
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
