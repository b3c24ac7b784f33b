/**
 * Shape arithmetic that needs no run of the graph, or only the model's inputs.
 *
 * Identity: a tensor whose values follow from shapes is a constant. A reshape of whose sizes one is open may say -1 for
 *   it. The first size of a tensor that is computed sample by sample is the batch of the model's input.
 * Pattern: int32 nodes of known values; Reshape by computed sizes; the first element of Shape of a computed tensor.
 * Replacement: a constant; a constant with -1; the same element of the Shape of the input. A region then no longer gives
 *   out a tensor for its shape alone.
 * Declines: graphs with loops, whose shapes may change from turn to turn.
 */
import { attr, dtypeAttr, intsAttr, numberAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output, refKey } from '../graph/edit';
import { ShapeInference } from '../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { axisOf } from '../graph/shapes/known';
import { linearKind } from './linear-op';
import { ChangeLog, type Pass } from './pass';

/** Ops whose results have the first size of their first input. */
const KEEP_BATCH = new Set(
  (
    'Identity Snapshot StopGradient BiasAdd Relu Relu6 Elu Selu LeakyRelu Prelu Sigmoid Tanh Softplus Softmax LogSoftmax ' +
    'Erf Neg Abs Square Sqrt Rsqrt Exp Log Sign Reciprocal ClipByValue Cast MaxPool AvgPool FusedBatchNorm ' +
    'FusedBatchNormV2 FusedBatchNormV3 ResizeBilinear ResizeNearestNeighbor DepthToSpace SpaceToDepth ZerosLike OnesLike'
  ).split(' '),
);

const ELEMENTWISE = new Set(
  'Add AddV2 Sub Mul RealDiv Maximum Minimum SquaredDifference Pow Less Greater Equal BatchMatMul BatchMatMulV2'.split(
    ' ',
  ),
);

/** A first size: that of an input of the model, times a number. */
interface Batch {
  readonly input: TensorRef;
  readonly times: number;
}

/** Follows which tensors have a first size that comes of that of an input of the model. */
class Batches {
  /** By `node:index`. */
  private readonly found = new Map<string, Batch>();

  constructor(
    private readonly graph: Graph,
    private readonly inference: ShapeInference,
  ) {
    for (const node of graph.nodes.values()) {
      const batch = this.find(node);
      if (batch) this.found.set(refKey(output(node.name)), batch);
    }
  }

  of(ref: TensorRef): Batch | undefined {
    return this.found.get(refKey(ref));
  }

  private shape(ref: TensorRef): readonly number[] | undefined {
    return this.inference.shapes.get(refKey(ref));
  }

  /** The one that all have that are not broadcast along the first axis. */
  private common(refs: readonly TensorRef[], rank: number): Batch | undefined {
    const shapes = refs.map((ref) => this.shape(ref));
    if (shapes.includes(undefined)) return undefined;
    const full = refs.filter((_, i) => shapes[i]!.length === rank && shapes[i]![0] !== 1);
    const [batch, ...others] = full.map((ref) => this.of(ref));
    const same = (other: Batch | undefined) =>
      other && batch && other.times === batch.times && refKey(other.input) === refKey(batch.input);
    return others.every(same) ? batch : undefined;
  }

  private find(node: GraphNode): Batch | undefined {
    const own = output(node.name);
    const shape = this.shape(own);
    if (!shape?.length || shape[0] !== -1) return undefined;
    const [first, second] = node.inputs;
    if (node.op === 'Placeholder') return { input: own, times: 1 };
    if (KEEP_BATCH.has(node.op)) return this.of(first);
    if (linearKind(node) === 'conv' || linearKind(node) === 'depthwise') return this.of(first);
    if (node.op === 'MatMul' || node.op === '_FusedMatMul')
      return node.attrs.transpose_a?.b === true ? undefined : this.of(first);
    if (ELEMENTWISE.has(node.op)) return this.common(node.inputs, shape.length);
    const before = first && this.shape(first);
    const values = second && this.inference.constant(second);
    switch (node.op) {
      case 'ConcatV2': {
        const axis = this.inference.constant(node.inputs.at(-1)!)?.[0];
        return isAfterFirst(axis, shape.length)
          ? this.common(node.inputs.slice(0, -1), shape.length)
          : undefined;
      }
      case 'ExpandDims':
        return isAfterFirst(values?.[0], shape.length) ? this.of(first) : undefined;
      case 'Squeeze': {
        const dims = intsAttr(node, 'squeeze_dims');
        const others = before && dims.length > 0 && dims.every((axis) => isAfterFirst(axis, before.length));
        return others ? this.of(first) : undefined;
      }
      case 'Transpose':
        return values?.[0] === 0 ? this.of(first) : undefined;
      case 'Pack':
        return (numberAttr(node, 'axis') ?? 0) === 0 ? undefined : this.common(node.inputs, shape.length - 1);
      case 'Reshape': {
        const rest = (s: readonly number[]) => s.slice(1).reduce((p, d) => p * d, 1);
        const known = before && [...before.slice(1), ...shape.slice(1)].every((d) => d > 0);
        const batch = this.of(first);
        return known && batch ? { ...batch, times: (batch.times * rest(before)) / rest(shape) } : undefined;
      }
      case 'Slice':
        return values?.[0] === 0 && this.inference.constant(node.inputs[2])?.[0] === -1
          ? this.of(first)
          : undefined;
      case 'StridedSlice':
        return wholeFirst(node) ? this.of(first) : undefined;
      case 'GatherV2':
        return (numberAttr(node, 'batch_dims') ?? 0) === 0 &&
          this.inference.constant(node.inputs[2])?.[0] === 0
          ? this.of(second)
          : undefined;
      case 'Select':
      case 'SelectV2':
        return this.common(node.inputs, shape.length);
      case 'Fill':
        return this.ofSize(first);
      default:
        return undefined;
    }
  }

  /** The input whose batch is the first of packed sizes. */
  private ofSize(sizes: TensorRef): Batch | undefined {
    const pack = this.graph.nodes.get(sizes.node);
    const size = pack?.op === 'Pack' ? this.graph.nodes.get(pack.inputs[0].node) : undefined;
    const measured = size && firstSizeOf(this.graph, this.inference, size);
    return measured && this.of(measured);
  }
}

/** Whether an axis that may count from the end is known and is another than the first. */
function isAfterFirst(axis: number | undefined, rank: number): boolean {
  return axis !== undefined && axisOf(axis, rank) > 0;
}

/** Whether a StridedSlice takes all of the first axis: both of its bounds are masked. */
function wholeFirst(node: GraphNode): boolean {
  const masked = (name: string) => ((numberAttr(node, `${name}_mask`) ?? 0) & 1) === 1;
  return (
    masked('begin') && masked('end') && !masked('shrink_axis') && !masked('new_axis') && !masked('ellipsis')
  );
}

/** The tensor whose first size a node takes out of its Shape. */
function firstSizeOf(graph: Graph, inference: ShapeInference, node: GraphNode): TensorRef | undefined {
  const shape = graph.nodes.get(node.inputs[0]?.node ?? '');
  if (node.op !== 'StridedSlice' || shape?.op !== 'Shape') return undefined;
  const [begin, end, stride] = node.inputs.slice(1).map((ref) => inference.constant(ref));
  const shrinks = numberAttr(node, 'shrink_axis_mask') === 1;
  const whole = ['begin_mask', 'end_mask', 'new_axis_mask', 'ellipsis_mask'].every(
    (name) => !numberAttr(node, name),
  );
  return shrinks && whole && begin?.[0] === 0 && end?.[0] === 1 && stride?.[0] === 1
    ? shape.inputs[0]
    : undefined;
}

const WHOLE = new Set(['Shape', 'Size', 'Rank']);

/** Whether a node's result is int32 whatever its inputs. */
function isWhole(node: GraphNode): boolean {
  if (WHOLE.has(node.op)) return (dtypeAttr(node, 'out_type') ?? 'int32') === 'int32';
  return node.op === 'Cast' ? dtypeAttr(node, 'DstT') === 'int32' : dtypeAttr(node, 'T') === 'int32';
}

const COMPUTED = new Set(
  'Shape Size Rank Pack ConcatV2 StridedSlice Slice GatherV2 Gather Cast Add AddV2 Sub Mul Prod Maximum Minimum FloorDiv'.split(
    ' ',
  ),
);

export const foldShapes: Pass = {
  name: 'fold-shapes',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const nodes = [...graph.nodes.values()];
    const measures = nodes.some(({ op }) => WHOLE.has(op));
    if (!measures || nodes.some(({ op }) => op === 'Enter')) return { graph, changes: [] };
    const inference = ShapeInference.of(graph);
    const batches = new Batches(graph, inference);
    const editor = new GraphEditor(graph);
    const shapesOfInputs = new Map<string, TensorRef>();
    for (const node of nodes) {
      if (editor.outputs.has(node.name)) continue;
      const own = output(node.name);
      const shape = inference.shapes.get(refKey(own));
      const values = COMPUTED.has(node.op) && isWhole(node) ? inference.constant(own) : undefined;
      if (values && shape && shape.reduce((p, d) => p * d, 1) === values.length) {
        editor.setConstant(node.name, { dtype: 'int32', shape, values: Int32Array.from(values) });
        log.rewrote(node.name, `${node.op} of known sizes`);
        continue;
      }
      const measured = firstSizeOf(graph, inference, node);
      const batch = measured && batches.of(measured);
      if (!measured || batch?.times !== 1 || refKey(measured) === refKey(batch.input)) continue;
      const { input } = batch;
      let sizes = shapesOfInputs.get(refKey(input));
      if (!sizes) {
        const name = editor.freeName(`${input.node}/shape`);
        editor.setNode({ name, op: 'Shape', inputs: [input], attrs: { out_type: attr.dtype('int32') } });
        sizes = output(name);
        shapesOfInputs.set(refKey(input), sizes);
      }
      editor.setNode({ ...node, inputs: [sizes, ...node.inputs.slice(1)] });
      log.rewrote(node.name, `the batch of '${measured.node}' is that of the input '${input.node}'`);
    }
    for (const node of nodes) {
      const sizes =
        node.op === 'Reshape' && !constantOf(editor, node.inputs[1])
          ? inference.values(node.inputs[1])
          : undefined;
      if (!sizes || sizes.filter((v) => Number.isNaN(v) || v < 0).length > 1 || sizes.includes(0)) continue;
      const place = editor.addConstant(`${node.name}/sizes`, {
        dtype: 'int32',
        shape: [sizes.length],
        values: Int32Array.from(sizes, (v) => (v >= 0 ? v : -1)),
      });
      editor.setNode({ ...editor.nodes.get(node.name)!, inputs: [node.inputs[0], place] });
      log.rewrote(node.name, 'Reshape to sizes of which one is open');
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
