/**
 * The nodes of a float graph whose weights alone can be quantized: matrix products, 1x1 convolutions, and tables.
 *
 * They may lie in loops and branches: a weight that enters a loop as a constant is a constant. The functions of `While` and
 * `If` nodes stay as they are.
 */
import { entryOf } from '../../base/entry-of';
import { boolAttr, intsAttr, numberAttr } from '../../graph/attrs';
import { refKey } from '../../graph/edit';
import type { Shapes } from '../../graph/infer-shapes';
import type { Constant, Graph, GraphNode, TensorRef } from '../../graph/ir';
import { type LinearOp, linearKind, readLinearOp, weightsPerChannel } from '../linear-op';
import { FUNCTIONAL } from '../quantize/plan/control-flow';

/** y = x W^T + b on the last axis of x. */
export interface Product {
  readonly kind: 'product';
  readonly node: GraphNode;
  readonly op: LinearOp;
  /** Of x; -1: unknown before run time. */
  readonly inputShape: readonly number[];
}

/** Rows of a matrix by indices. */
export interface Table {
  readonly kind: 'table';
  readonly node: GraphNode;
  readonly indices: TensorRef;
  readonly indicesShape: readonly number[];
  readonly constant: Constant;
}

export type Weighted = Product | Table;

/** The constant behind a tensor, through identities and the entrance of a loop. */
function constantRef(graph: Graph, ref: TensorRef): TensorRef {
  const node = entryOf(graph.nodes, ref.node);
  const passes = node.op === 'Identity' || (node.op === 'Enter' && boolAttr(node, 'is_constant'));
  if (!passes || ref.index !== 0) return ref;
  const source = constantRef(graph, node.inputs[0]);
  return graph.constants.has(source.node) ? source : ref;
}

/** The node reading its constants themselves. */
function withConstants(graph: Graph, node: GraphNode): GraphNode {
  return { ...node, inputs: node.inputs.map((ref) => constantRef(graph, ref)) };
}

/** A product of a batch of matrices with one constant matrix, as a product of rows. */
function readBatchMatMul(graph: Graph, node: GraphNode): LinearOp | string {
  const filter = graph.constants.get(node.inputs[1].node);
  if (filter?.dtype !== 'float32') return 'its weights are not constant';
  if (filter.shape.length !== 2) return 'it has weights for every matrix of a batch';
  if (boolAttr(node, 'adj_x')) return 'its input is transposed';
  const transposed = boolAttr(node, 'adj_y');
  const [input, { node: filterName }] = node.inputs;
  return {
    kind: 'matmul',
    node,
    input,
    filterName,
    filter,
    transposed,
    channels: filter.shape[transposed ? 0 : 1],
  };
}

function readProduct(graph: Graph, shapes: Shapes, node: GraphNode): Product | string {
  const batched = node.op.startsWith('BatchMatMul');
  const op = batched ? readBatchMatMul(graph, node) : readLinearOp(graph, node);
  if (typeof op === 'string') return op;
  if (op.kind === 'depthwise') return 'it is a depthwise convolution';
  const known = shapes.get(refKey(op.input));
  if (op.kind === 'matmul') {
    if (batched && !known) return 'the shape of its input is not known';
    return { kind: 'product', node, op, inputShape: known ?? [-1, weightsPerChannel(op)] };
  }
  const [height, width, depth] = op.filter.shape;
  if (height !== 1 || width !== 1) return `its window is ${height}x${width}: convolutions stay float`;
  if (intsAttr(node, 'strides').some((stride) => stride !== 1)) return 'it is a convolution with strides';
  return { kind: 'product', node, op, inputShape: known ?? [-1, -1, -1, depth] };
}

/** The engine's limit for the dimensions of the indices: the result has one more. */
const MAX_INDEX_RANK = 7;

function isLookup({ op }: GraphNode): boolean {
  return op === 'Gather' || op === 'GatherV2';
}

/** @returns why its table stays as it is; undefined for a node that reads no constant matrix of float32 */
export function readTable(graph: Graph, shapes: Shapes, original: GraphNode): Table | string | undefined {
  if (!isLookup(original)) return undefined;
  const node = withConstants(graph, original);
  const [table, indices, axis] = node.inputs;
  const constant = graph.constants.get(table.node);
  if (constant?.dtype !== 'float32' || constant.shape.length !== 2) return undefined;
  if (axis && graph.constants.get(axis.node)?.values[0] !== 0) return 'it does not gather rows';
  if ((numberAttr(node, 'batch_dims') ?? 0) !== 0) return 'it gathers from a batch of tables';
  const indicesShape = shapes.get(refKey(indices));
  if (!indicesShape) return 'the shape of its indices is not known';
  if (indicesShape.length > MAX_INDEX_RANK) return `its indices have ${indicesShape.length} dimensions`;
  return { kind: 'table', node, indices, indicesShape, constant };
}

function read(graph: Graph, shapes: Shapes, original: GraphNode): Weighted | string | undefined {
  if (isLookup(original)) return readTable(graph, shapes, original);
  const node = withConstants(graph, original);
  const products = linearKind(node) !== undefined || node.op.startsWith('BatchMatMul');
  return products ? readProduct(graph, shapes, node) : undefined;
}

export function weightsOf(weighted: Weighted): Constant {
  return weighted.kind === 'table' ? weighted.constant : weighted.op.filter;
}

/** Nodes with weights, or why their weights stay as they are, in topological order. */
export function findWeighted(graph: Graph, shapes: Shapes): Map<string, Weighted | string> {
  const found = new Map<string, Weighted | string>();
  for (const node of graph.nodes.values()) {
    const weighted = FUNCTIONAL.has(node.op)
      ? 'weights in its functions stay as they are'
      : read(graph, shapes, node);
    if (weighted !== undefined) found.set(node.name, weighted);
  }
  return found;
}
