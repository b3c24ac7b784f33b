/**
 * Convolutions and matrix products with large constant weights, computed some output channels at a time: TF.js holds the
 * weights of one part then, and not all of them. Each output is the same sum as before.
 */
import { attr, boolAttr, stringAttr, stringsAttr } from '../graph/attrs';
import { output } from '../graph/edit';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { sliceOf } from '../graph/stored-constants';
import { constantBytes } from '../graph/weights';

/** The axis of output channels of a node's weights; undefined for one that is not split. */
function channelAxis(node: GraphNode): number | undefined {
  switch (node.op) {
    case 'Conv2D':
    case '_FusedConv2D':
      return (stringAttr(node, 'data_format') ?? 'NHWC').toUpperCase() === 'NHWC' ? 3 : undefined;
    case 'MatMul':
    case '_FusedMatMul':
      return boolAttr(node, 'transpose_b') ? 0 : 1;
    default:
      return undefined;
  }
}

/** Whether what is fused with a node, if anything, adds a constant of one value a channel, or has no operand. */
function splitsFused({ constants }: Graph, node: GraphNode, channels: number): boolean {
  const [bias, ...more] = node.inputs.slice(2);
  if (!bias) return true;
  const shape = constants.get(bias.node)?.shape;
  return (
    more.length === 0 && stringsAttr(node, 'fused_ops')[0] === 'BiasAdd' && shape?.join() === `${channels}`
  );
}

class Splitter {
  readonly nodes = new Map<string, GraphNode>();
  readonly constants: Map<string, Constant>;

  constructor(private readonly graph: Graph) {
    this.constants = new Map(graph.constants);
  }

  private constant(name: string, constant: Constant): TensorRef {
    this.constants.set(name, constant);
    this.nodes.set(name, { name, op: 'Const', inputs: [], attrs: { dtype: attr.dtype(constant.dtype) } });
    return output(name);
  }

  /** @param count the number of parts */
  split(node: GraphNode, weights: Constant, axis: number, count: number): void {
    const channels = weights.shape[axis];
    const bias = node.inputs[2] && this.graph.constants.get(node.inputs[2].node)!;
    const parts = Array.from({ length: count }, (_, i) => {
      const [from, to] = [i, i + 1].map((k) => Math.floor((k * channels) / count));
      const name = `${node.name}//${from}-${to}`;
      const own = this.constant(`${name}/weights`, sliceOf(weights, axis, from, to));
      const added = bias && this.constant(`${name}/bias`, sliceOf(bias, 0, from, to));
      this.nodes.set(name, { ...node, name, inputs: [node.inputs[0], own, ...(added ? [added] : [])] });
      return output(name);
    });
    const last = node.op.endsWith('MatMul') ? 1 : 3;
    const values = Int32Array.of(last);
    const along = this.constant(`${node.name}//axis`, { dtype: 'int32', shape: [], values });
    const attrs = { N: attr.int(count), T: attr.dtype('float32'), Tidx: attr.dtype('int32') };
    const { name, controlInputs } = node;
    this.nodes.set(name, { name, op: 'ConcatV2', inputs: [...parts, along], controlInputs, attrs });
  }
}

/** @param most bytes of weights that stay together */
export function withSplitProducts(graph: Graph, most: number): Graph {
  const splitter = new Splitter(graph);
  for (const node of graph.nodes.values()) {
    const axis = channelAxis(node);
    const weights = axis === undefined ? undefined : graph.constants.get(node.inputs[1].node);
    const count = weights?.dtype === 'float32' ? Math.ceil(constantBytes(weights) / most) : 1;
    if (count > 1 && splitsFused(graph, node, weights!.shape[axis!]))
      splitter.split(node, weights!, axis!, Math.min(count, weights!.shape[axis!]));
    else splitter.nodes.set(node.name, node);
  }
  return splitter.nodes.size === graph.nodes.size
    ? graph
    : { ...graph, nodes: splitter.nodes, constants: splitter.constants };
}
