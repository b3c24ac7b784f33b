/**
 * Separates activations that are more than a clamp from the op that they are fused with.
 *
 * Identity: fused(x) = f(linear(x)). The range of linear(x) must be observed to quantize f as a table.
 * Pattern: _FusedConv2D, FusedDepthwiseConv2dNative, _FusedMatMul with BiasAdd and Elu, Sigmoid, Tanh, LeakyRelu, Prelu.
 * Replacement: the op with its bias alone, then the activation as a node of the old name.
 */
import { attr, numberAttr, stringsAttr } from '../graph/attrs';
import { GraphEditor, output } from '../graph/edit';
import type { Graph, GraphNode, RawAttr } from '../graph/ir';
import { linearKind } from './linear-op';
import { ChangeLog, type Pass } from './pass';

const SPLIT = new Set(['Elu', 'Sigmoid', 'Tanh', 'LeakyRelu', 'Prelu']);

/** TF.js's default for a fused LeakyRelu. */
const DEFAULT_ALPHA = 0.2;

function activationAttrs(node: GraphNode, activation: string): Record<string, RawAttr> {
  const type = { T: attr.dtype('float32') };
  return activation === 'LeakyRelu'
    ? { ...type, alpha: attr.float(numberAttr(node, 'leakyrelu_alpha') ?? DEFAULT_ALPHA) }
    : type;
}

export const splitActivations: Pass = {
  name: 'split-activations',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const [bias, activation] = stringsAttr(node, 'fused_ops');
      if (!linearKind(node) || bias !== 'BiasAdd' || !activation || !SPLIT.has(activation)) continue;
      const linear = editor.freeName(`${node.name}/linear`);
      const { leakyrelu_alpha: _, ...attrs } = node.attrs;
      editor.setNode({
        name: linear,
        op: node.op,
        inputs: node.inputs.slice(0, 3),
        attrs: { ...attrs, fused_ops: attr.strings(['BiasAdd']), num_args: attr.int(1) },
      });
      const slope = activation === 'Prelu' ? [node.inputs[3]] : [];
      editor.setNode({
        name: node.name,
        op: activation,
        inputs: [output(linear), ...slope],
        attrs: activationAttrs(node, activation),
      });
      log.rewrote(node.name, `separated ${activation} from ${node.op}`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
