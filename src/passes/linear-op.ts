/**
 * Convolutions, depthwise convolutions and matrix products with constant weights, seen as one thing: a filter, a bias
 * per output channel, a clamp. Passes read one, change it, and write it back as a node that TF.js can run.
 */
import { attr, boolAttr, stringAttr, stringsAttr } from '../graph/attrs';
import { constantOf, consumers, type GraphEditor, outputNodes } from '../graph/edit';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { type Bounds, clampBounds } from '../quantization/activation';

export type LinearKind = 'conv' | 'depthwise' | 'matmul';

/** Activations that only clamp. */
export type ClampName = 'Relu' | 'Relu6';

export interface LinearOp {
  readonly kind: LinearKind;
  readonly node: GraphNode;
  readonly input: TensorRef;
  readonly filterName: string;
  /** Convolution [h, w, in, out]; depthwise [h, w, in, multiplier]; product [in, out], or [out, in] transposed. */
  readonly filter: Constant;
  readonly transposed: boolean;
  readonly channels: number;
  /** One value an output channel. */
  readonly bias?: Float32Array;
  readonly activation?: ClampName;
}

const KINDS: Readonly<Record<string, LinearKind>> = {
  Conv2D: 'conv',
  _FusedConv2D: 'conv',
  DepthwiseConv2d: 'depthwise',
  DepthwiseConv2dNative: 'depthwise',
  FusedDepthwiseConv2dNative: 'depthwise',
  MatMul: 'matmul',
  _FusedMatMul: 'matmul',
};

const FUSED_OPS: Readonly<Record<LinearKind, string>> = {
  conv: '_FusedConv2D',
  depthwise: 'FusedDepthwiseConv2dNative',
  matmul: '_FusedMatMul',
};

export function linearKind(node: GraphNode): LinearKind | undefined {
  return KINDS[node.op];
}

function outputChannels(kind: LinearKind, shape: readonly number[], transposed: boolean): number | undefined {
  if (kind === 'matmul') return shape.length === 2 ? shape[transposed ? 0 : 1] : undefined;
  if (shape.length !== 4) return undefined;
  return kind === 'conv' ? shape[3] : shape[2] * shape[3];
}

/** How many weights there are, without reading them. */
export function weightCount({ shape }: Pick<Constant, 'shape'>): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Weights of one output channel, without reading them. */
export function weightsPerChannel({ filter, channels }: Pick<LinearOp, 'filter' | 'channels'>): number {
  return weightCount(filter) / channels;
}

/** A vector of one value a channel, from a constant that broadcasts along all other axes. */
export function perChannel(constant: Constant | undefined, channels: number): Float32Array | undefined {
  if (constant?.dtype !== 'float32') return undefined;
  const { shape, values } = constant;
  if (shape.slice(0, -1).some((d) => d !== 1)) return undefined;
  if (values.length === channels) return values as Float32Array;
  return values.length === 1 ? new Float32Array(channels).fill(values[0]) : undefined;
}

/** Why a node is not a linear op with constant weights, or the linear op. */
export function readLinearOp(graph: Pick<Graph, 'constants'>, node: GraphNode): LinearOp | string {
  const kind = KINDS[node.op];
  if (!kind) return `${node.op} has no weights`;
  const filterRef = node.inputs[1];
  const filter = constantOf(graph, filterRef);
  if (!filterRef || filter?.dtype !== 'float32') return 'its weights are not constant';
  if (boolAttr(node, 'transpose_a')) return 'its input is transposed';
  if ((stringAttr(node, 'data_format') ?? 'NHWC').toUpperCase() !== 'NHWC')
    return 'its data format is not NHWC';
  const transposed = boolAttr(node, 'transpose_b');
  const channels = outputChannels(kind, filter.shape, transposed);
  if (channels === undefined) return `its weights have rank ${filter.shape.length}`;
  const op = { kind, node, input: node.inputs[0], filterName: filterRef.node, filter, transposed, channels };
  const [first, second, ...more] = stringsAttr(node, 'fused_ops').filter((s) => s !== '');
  if (first === undefined) return op;
  const bias = perChannel(constantOf(graph, node.inputs[2]), channels);
  if (first !== 'BiasAdd' || more.length > 0) return `it is fused with ${first}`;
  if (!bias) return 'its bias is not a constant vector';
  if (second === undefined) return { ...op, bias };
  return second === 'Relu' || second === 'Relu6'
    ? { ...op, bias, activation: second }
    : `it is fused with ${second}`;
}

/** The bounds that a linear op clamps its result to. */
export function activationBounds({ activation }: LinearOp): Bounds {
  return clampBounds(activation === 'Relu6' ? 'relu6' : activation === 'Relu' ? 'relu' : 'linear')!;
}

/** The output channel of each element of the filter, by flat index. */
export function filterChannel(
  op: Pick<LinearOp, 'kind' | 'filter' | 'transposed' | 'channels'>,
): (i: number) => number {
  const { channels } = op;
  if (op.kind === 'matmul' && op.transposed) {
    const depth = op.filter.shape[1];
    return (i) => Math.floor(i / depth);
  }
  return (i) => i % channels;
}

/**
 * Writes a linear op back under a name, as TF.js's fused op when it has a bias or a clamp. A clamp gets a bias of zeros
 * where there is none: TF.js reads the first entry of `fused_ops` as the bias and the second as the activation.
 */
export function writeLinearOp(editor: GraphEditor, name: string, op: LinearOp, attrs = op.node.attrs): void {
  const filterRef =
    editor.constants.get(op.filterName) === op.filter
      ? { node: op.filterName, index: 0 }
      : editor.addConstant(`${name}/filter`, op.filter);
  const bias = op.bias ?? (op.activation ? new Float32Array(op.channels) : undefined);
  const { fused_ops: _, num_args: __, leakyrelu_alpha: ___, epsilon: ____, ...plain } = attrs;
  if (!bias) {
    editor.setNode({ name, op: op.node.op, inputs: [op.input, filterRef], attrs: plain });
    return;
  }
  const old = op.node.inputs[2];
  const unchanged = old && editor.constants.get(old.node)?.values === bias;
  const biasRef = unchanged
    ? old
    : editor.addConstant(`${name}/bias`, { dtype: 'float32', shape: [op.channels], values: bias });
  const fused = op.activation ? ['BiasAdd', op.activation] : ['BiasAdd'];
  editor.setNode({
    name,
    op: FUSED_OPS[op.kind],
    inputs: [op.input, filterRef, biasRef],
    attrs: { ...plain, fused_ops: attr.strings(fused), num_args: attr.int(1) },
  });
}

/**
 * The linear op behind a tensor, if a following node may be folded into it: weights constant, no clamp, no other
 * consumer, not an output. Otherwise the reason.
 */
export function foldableLinearOp(graph: Graph, ref: TensorRef): LinearOp | string {
  const node = graph.nodes.get(ref.node)!;
  const op = readLinearOp(graph, node);
  if (typeof op === 'string') return op;
  if (op.activation) return `'${node.name}' applies ${op.activation} first`;
  if ((consumers(graph).get(node.name)?.length ?? 0) > 1) return `'${node.name}' has another consumer`;
  if (outputNodes(graph).has(node.name)) return `'${node.name}' is an output`;
  return op;
}
