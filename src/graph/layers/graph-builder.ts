/** The graph that layers are written into, node by node, in topological order. */
import { LowbitError } from '../../base/errors';
import { attr, shapeToJson } from '../attrs';
import { output, refKey } from '../edit';
import { type Shape, ShapeInference } from '../infer-shapes';
import type { Constant, DType, GraphNode, RawAttr, SignatureEntry, TensorRef } from '../ir';
import { CHANNELS_FIRST, type LayerTensor, PLAIN, SEQUENCE } from './layout';

export type Attrs = Readonly<Record<string, RawAttr>>;

export class GraphBuilder {
  readonly nodes = new Map<string, GraphNode>();
  readonly constants = new Map<string, Constant>();
  readonly inputs: SignatureEntry[] = [];
  private readonly shapes = new ShapeInference(this);
  private readonly inOrder = new Map<string, TensorRef>();

  /** An input of the model, named as its layer is. */
  input(name: string, shape: Shape, dtype: DType): LayerTensor {
    const ref = output(this.freeName(name));
    this.inputs.push({ name: ref.node, ref, dtype, shape });
    this.add({
      name: ref.node,
      op: 'Placeholder',
      inputs: [],
      attrs: { dtype: attr.dtype(dtype), shape: { shape: shapeToJson(shape) } },
    });
    return { ref, shape, layout: PLAIN, dtype };
  }

  /** Adds a node under a free name like the given one. */
  op(name: string, op: string, inputs: readonly TensorRef[], attrs: Attrs): TensorRef {
    const free = this.freeName(name);
    this.add({ name: free, op, inputs, attrs });
    return output(free);
  }

  /** Adds a constant, or finds the one of this name: weights are shared by all calls of a layer. */
  constant(name: string, constant: Constant): TensorRef {
    const known = this.constants.get(name);
    if (known?.values === constant.values && known.shape.join() === constant.shape.join())
      return output(name);
    const free = this.freeName(name);
    this.constants.set(free, constant);
    this.add({ name: free, op: 'Const', inputs: [], attrs: { dtype: attr.dtype(constant.dtype) } });
    return output(free);
  }

  shapeOf(ref: TensorRef): Shape {
    const shape = this.shapes.shapes.get(refKey(ref));
    if (shape) return shape;
    const op = this.nodes.get(ref.node)?.op;
    throw new LowbitError('invalid-model', `The shape of '${ref.node}' (${op}) cannot be known.`);
  }

  /** The tensor with its axes as the layers see them. */
  plain({ ref, layout }: LayerTensor): TensorRef {
    if (!layout.axes) return ref;
    const key = refKey(ref);
    const known = this.inOrder.get(key);
    if (known) return known;
    const plain =
      layout === SEQUENCE ? this.squeeze(`${ref.node}/Squeeze`, ref, 1) : this.transpose(ref, [0, 3, 1, 2]);
    this.inOrder.set(key, plain);
    return plain;
  }

  /** A [batch, channels, height, width] tensor in NHWC. */
  channelsLast(x: LayerTensor): TensorRef {
    return x.layout === CHANNELS_FIRST ? x.ref : this.transpose(this.plain(x), [0, 2, 3, 1]);
  }

  /** A [batch, steps, channels] tensor as an image of height 1. */
  image(x: LayerTensor): TensorRef {
    if (x.layout === SEQUENCE) return x.ref;
    const plain = this.plain(x);
    const axis = this.ints(`${plain.node}/ExpandDims/axis`, [1], []);
    return this.op(`${plain.node}/ExpandDims`, 'ExpandDims', [plain, axis], { T: attr.dtype(x.dtype) });
  }

  squeeze(name: string, ref: TensorRef, axis: number): TensorRef {
    return this.op(name, 'Squeeze', [ref], {
      T: attr.dtype('float32'),
      squeeze_dims: attr.ints([axis]),
    });
  }

  ints(name: string, values: readonly number[], shape: Shape = [values.length]): TensorRef {
    return this.constant(name, { dtype: 'int32', shape, values: Int32Array.from(values) });
  }

  private transpose(ref: TensorRef, order: readonly number[]): TensorRef {
    const name = `${ref.node}/Transpose`;
    return this.op(name, 'Transpose', [ref, this.ints(`${name}/perm`, order)], { T: attr.dtype('float32') });
  }

  private add(node: GraphNode): void {
    this.nodes.set(node.name, node);
    this.shapes.add(node);
  }

  private freeName(name: string): string {
    if (!this.nodes.has(name)) return name;
    let n = 1;
    while (this.nodes.has(`${name}_${n}`)) n++;
    return `${name}_${n}`;
  }
}
