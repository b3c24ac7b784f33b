/**
 * Static shapes of a graph's tensors, from the inputs' shapes and the constants. Small integer tensors that hold shapes
 * (Shape -> StridedSlice -> Pack -> Reshape) are followed by value. -1: known only at run time; undefined: unknown rank.
 */
import { LowbitError } from '../base/errors';
import { boolAttr, intsAttr, numberAttr, parseShape, shapeAttr, stringAttr } from './attrs';
import { constantOf, refKey } from './edit';
import type { Graph, GraphNode, TensorRef } from './ir';
import { resolveStridedSlice } from './strided-slice';

export type Shape = readonly number[];
export type Shapes = ReadonlyMap<string, Shape | undefined>;

interface Inferred {
  shapes: Map<string, Shape | undefined>;
  /** Elements of small integer tensors; -1 where an element is known only at run time. */
  values: Map<string, readonly number[]>;
  graph: Pick<Graph, 'constants' | 'inputs'>;
}

type Rule = (node: GraphNode, known: Inferred) => Shape | undefined;

/** Shapes of a node's outputs, as many as are known. */
type ManyRule = (node: GraphNode, known: Inferred) => readonly (Shape | undefined)[];

function invalid(node: GraphNode, message: string): LowbitError {
  return new LowbitError('invalid-model', `${node.op} '${node.name}': ${message}`);
}

function shapeOf(known: Inferred, ref: TensorRef | undefined): Shape | undefined {
  return ref && known.shapes.get(refKey(ref));
}

function valuesOf(known: Inferred, ref: TensorRef | undefined): readonly number[] | undefined {
  const constant = constantOf(known.graph, ref);
  if (constant?.dtype === 'int32' || constant?.dtype === 'float32') return Array.from(constant.values);
  return ref && known.values.get(refKey(ref));
}

const sameAsInput: Rule = (node, known) => shapeOf(known, node.inputs[0]);

function windowOutput(
  size: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: string | undefined,
  explicit: readonly [before: number, after: number],
): number {
  if (size < 0) return -1;
  const extent = (kernel - 1) * dilation + 1;
  if (padding === 'SAME') return Math.ceil(size / stride);
  const padded = padding === 'EXPLICIT' ? size + explicit[0] + explicit[1] : size;
  return padded < extent ? 0 : Math.floor((padded - extent) / stride) + 1;
}

/** NHWC convolution and pooling: the height and width of the output. */
function windowShape(node: GraphNode, input: Shape, kernel: readonly number[], channels: number): Shape {
  if (input.length !== 4) throw invalid(node, `expected an input of rank 4 but its shape is [${input}].`);
  const strides = intsAttr(node, 'strides');
  const dilations = intsAttr(node, 'dilations');
  const explicit = intsAttr(node, 'explicit_paddings');
  const padding = stringAttr(node, 'padding')?.toUpperCase();
  const spatial = [1, 2].map((axis) => {
    const pads = [explicit[axis * 2] ?? 0, explicit[axis * 2 + 1] ?? 0] as const;
    return windowOutput(
      input[axis],
      kernel[axis - 1],
      strides[axis] ?? 1,
      dilations[axis] ?? 1,
      padding,
      pads,
    );
  });
  if (spatial.includes(0)) {
    throw invalid(node, `its ${kernel[0]}x${kernel[1]} window does not fit an input of shape [${input}].`);
  }
  return [input[0], ...spatial, channels];
}

function isNhwc(node: GraphNode): boolean {
  return (stringAttr(node, 'data_format') ?? 'NHWC').toUpperCase() === 'NHWC';
}

const convolution: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const filter = shapeOf(known, node.inputs[1]);
  if (!input || !filter || !isNhwc(node)) return undefined;
  if (filter.length !== 4 || filter.some((d) => d === 0)) {
    throw invalid(node, `expected a filter of four positive dimensions but its shape is [${filter}].`);
  }
  const [kernelH, kernelW, inChannels, last] = filter as [number, number, number, number];
  if (input.length === 4 && input[3] >= 0 && inChannels >= 0 && input[3] !== inChannels) {
    throw invalid(node, `its filter has ${inChannels} input channels but its input has ${input[3]}.`);
  }
  const channels = node.op.includes('Depthwise') ? inChannels * last : last;
  return windowShape(node, input, [kernelH, kernelW], channels);
};

const pooling: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  if (!input || !isNhwc(node)) return undefined;
  return windowShape(node, input, intsAttr(node, 'ksize').slice(1, 3), input[3] ?? -1);
};

const matMul: Rule = (node, known) => {
  const a = shapeOf(known, node.inputs[0]);
  const b = shapeOf(known, node.inputs[1]);
  if (!a || !b || a.length < 2 || b.length < 2) return undefined;
  const transposeA = boolAttr(node, 'transpose_a') || boolAttr(node, 'adj_x');
  const transposeB = boolAttr(node, 'transpose_b') || boolAttr(node, 'adj_y');
  const [rows, depth] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [depthB, columns] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  if (depth >= 0 && depthB >= 0 && depth !== depthB) {
    throw invalid(node, `its input has ${depth} features but its weights have ${depthB}.`);
  }
  const batch = broadcast(node, a.slice(0, -2), b.slice(0, -2));
  return [...batch, rows, columns];
};

/** NumPy broadcasting. */
function broadcast(node: GraphNode, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === 1) return y;
    if (y === 1 || x === y) return x;
    if (x === -1 || y === -1) return Math.max(x, y);
    throw invalid(node, `shapes [${a}] and [${b}] do not broadcast.`);
  });
}

const binary: Rule = (node, known) => {
  const a = shapeOf(known, node.inputs[0]);
  const b = shapeOf(known, node.inputs[1]);
  return a && b && broadcast(node, a, b);
};

const reduction: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const axes = valuesOf(known, node.inputs[1]);
  if (!input || !axes) return undefined;
  const reduced = new Set(axes.map((a) => (a < 0 ? a + input.length : a)));
  if (boolAttr(node, 'keep_dims')) return input.map((d, i) => (reduced.has(i) ? 1 : d));
  return input.filter((_, i) => !reduced.has(i));
};

const reshape: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const target = valuesOf(known, node.inputs[1]);
  if (!target) return undefined;
  const unknown = target.filter((d) => d < 0).length;
  if (!input || input.some((d) => d < 0) || unknown !== 1) return target;
  const size = input.reduce((p, d) => p * d, 1);
  const rest = target.reduce((p, d) => (d < 0 ? p : p * d), 1);
  if (rest === 0 || size % rest !== 0) throw invalid(node, `cannot reshape [${input}] to [${target}].`);
  return target.map((d) => (d < 0 ? size / rest : d));
};

const squeeze: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const dims = intsAttr(node, 'squeeze_dims').concat(intsAttr(node, 'axis'));
  if (!input) return undefined;
  if (dims.length === 0) return input.includes(-1) ? undefined : input.filter((d) => d !== 1);
  const removed = new Set(dims.map((d) => (d < 0 ? d + input.length : d)));
  return input.filter((_, i) => !removed.has(i));
};

const expandDims: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const axis = valuesOf(known, node.inputs[1])?.[0];
  return input && axis !== undefined
    ? input.toSpliced(axis < 0 ? axis + input.length + 1 : axis, 0, 1)
    : undefined;
};

const concat: Rule = (node, known) => {
  const shapes = node.inputs.slice(0, -1).map((i) => shapeOf(known, i));
  const first = shapes[0];
  const axis = valuesOf(known, node.inputs.at(-1))?.[0];
  if (!first || axis === undefined || shapes.some((s) => s?.length !== first.length)) return undefined;
  const at = axis < 0 ? axis + first.length : axis;
  const sizes = shapes.map((s) => s![at]);
  const total = sizes.includes(-1) ? -1 : sizes.reduce((sum, d) => sum + d, 0);
  return first.map((d, i) => (i === at ? total : Math.max(...shapes.map((s) => s![i]), d)));
};

const sumOfAll: Rule = (node, known) => {
  const shapes = node.inputs.map((i) => shapeOf(known, i));
  return shapes.reduce((a, b) => a && b && broadcast(node, a, b));
};

/** Inputs: output shape, filter, input. */
const transposedConvolution: Rule = (node, known) => {
  const size = valuesOf(known, node.inputs[0]);
  return size?.length === 4 ? size : undefined;
};

const pad: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const pads = valuesOf(known, node.inputs[1]);
  return input && pads ? input.map((d, i) => (d < 0 ? -1 : d + pads[i * 2] + pads[i * 2 + 1])) : undefined;
};

const transpose: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const order = valuesOf(known, node.inputs[1]);
  return input && order ? order.map((axis) => input[axis] ?? -1) : undefined;
};

const resize: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const size = valuesOf(known, node.inputs[1]);
  return input && [input[0], size?.[0] ?? -1, size?.[1] ?? -1, input[3]];
};

const stridedSlice: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const [begin, end, strides] = [1, 2, 3].map((i) => valuesOf(known, node.inputs[i]));
  return input && begin && end && strides
    ? resolveStridedSlice(node, input, begin, end, strides)?.shape
    : undefined;
};

const slice: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const [begin, size] = [1, 2].map((i) => valuesOf(known, node.inputs[i]));
  if (!input || begin?.length !== input.length || size?.length !== input.length) return undefined;
  return input.map((d, i) => (size[i] >= 0 ? size[i] : d < 0 ? -1 : d - begin[i]));
};

/** Split's inputs are the axis and the tensor, SplitV's the tensor, the sizes and the axis. */
const split: ManyRule = (node, known) => {
  const sized = node.op === 'SplitV';
  const input = shapeOf(known, node.inputs[sized ? 0 : 1]);
  const axis = valuesOf(known, node.inputs[sized ? 2 : 0])?.[0];
  if (!input || axis === undefined) return [];
  const at = axis < 0 ? axis + input.length : axis;
  const parts = numberAttr(node, 'num_split') ?? 1;
  const sizes = sized
    ? valuesOf(known, node.inputs[1])
    : new Array<number>(parts).fill(input[at] < 0 ? -1 : input[at] / parts);
  const given = sizes?.reduce((sum, d) => sum + Math.max(d, 0), 0) ?? 0;
  const rest = input[at] < 0 ? -1 : input[at] - given;
  return sizes?.map((size) => input.with(at, size < 0 ? rest : size)) ?? [];
};

const unpack: ManyRule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const axis = numberAttr(node, 'axis') ?? 0;
  if (!input) return [];
  const at = axis < 0 ? axis + input.length : axis;
  return new Array<Shape>(Math.max(input[at], 0)).fill(input.toSpliced(at, 1));
};

const topK: ManyRule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const k = valuesOf(known, node.inputs[1])?.[0] ?? -1;
  const shape = input?.with(-1, k);
  return [shape, shape];
};

const gather: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const indices = shapeOf(known, node.inputs[1]);
  const axis = valuesOf(known, node.inputs[2])?.[0];
  if (!input || !indices || axis === undefined || (numberAttr(node, 'batch_dims') ?? 0) !== 0)
    return undefined;
  const at = axis < 0 ? axis + input.length : axis;
  return [...input.slice(0, at), ...indices, ...input.slice(at + 1)];
};

/** SpaceToDepth, or DepthToSpace, of NHWC data. */
const blocks =
  (toSpace: boolean): Rule =>
  (node, known) => {
    const input = shapeOf(known, node.inputs[0]);
    const block = numberAttr(node, 'block_size');
    if (input?.length !== 4 || !block || !isNhwc(node)) return undefined;
    const times = (d: number, factor: number) => (d < 0 ? -1 : d * factor);
    const side = toSpace ? block : 1 / block;
    const depth = toSpace ? 1 / block ** 2 : block ** 2;
    return [input[0], times(input[1], side), times(input[2], side), times(input[3], depth)];
  };

const tile: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const times = valuesOf(known, node.inputs[1]);
  return input && times ? input.map((d, i) => (d < 0 ? -1 : d * (times[i] ?? 1))) : undefined;
};

/** The branch that ran; a loop's may change its shape from turn to turn. */
const merge: Rule = (node, known) => {
  const [first, ...others] = node.inputs.map((i) => shapeOf(known, i));
  return others.every((shape) => shape?.join() === first?.join()) ? first : undefined;
};

const pack: Rule = (node, known) => {
  const first = shapeOf(known, node.inputs[0]);
  const axis = numberAttr(node, 'axis') ?? 0;
  return first?.toSpliced(axis < 0 ? axis + first.length + 1 : axis, 0, node.inputs.length);
};

const placeholder: Rule = (node, known) => {
  const entry = known.graph.inputs.find((i) => i.ref.node === node.name);
  return entry?.shape ?? shapeAttr(node, 'shape');
};

function rules(ops: readonly string[], rule: Rule): [string, Rule][] {
  return ops.map((op) => [op, rule]);
}

const RULES: ReadonlyMap<string, Rule> = new Map([
  ...rules(['Placeholder', 'PlaceholderWithDefault', 'PlaceholderV2'], placeholder),
  ...rules(
    ['Conv2D', '_FusedConv2D', 'DepthwiseConv2dNative', 'DepthwiseConv2d', 'FusedDepthwiseConv2dNative'],
    convolution,
  ),
  ...rules(['MaxPool', 'AvgPool'], pooling),
  ...rules(['MatMul', '_FusedMatMul', 'BatchMatMul', 'BatchMatMulV2'], matMul),
  ...rules(
    [
      'Add',
      'AddV2',
      'Sub',
      'Mul',
      'RealDiv',
      'Div',
      'DivNoNan',
      'Maximum',
      'Minimum',
      'SquaredDifference',
      'Pow',
      'FloorDiv',
      'FloorMod',
      'Mod',
      'Equal',
      'NotEqual',
      'Greater',
      'GreaterEqual',
      'Less',
      'LessEqual',
    ],
    binary,
  ),
  ...rules(['Mean', 'Sum', 'Max', 'Min', 'Prod'], reduction),
  ...rules(['Reshape'], reshape),
  ...rules(['AddN'], sumOfAll),
  ...rules(['Conv2DBackpropInput'], transposedConvolution),
  ...rules(['Squeeze'], squeeze),
  ...rules(['ExpandDims'], expandDims),
  ...rules(['ConcatV2'], concat),
  ...rules(['Pad', 'PadV2', 'MirrorPad'], pad),
  ...rules(['Transpose'], transpose),
  ...rules(['ResizeBilinear', 'ResizeNearestNeighbor'], resize),
  ...rules(['StridedSlice'], stridedSlice),
  ...rules(['Tile'], tile),
  ...rules(['Slice'], slice),
  ...rules(['GatherV2'], gather),
  ...rules(['SpaceToDepth'], blocks(false)),
  ...rules(['DepthToSpace'], blocks(true)),
  ...rules(['Merge'], merge),
  ...rules(['Pack'], pack),
  [
    'Shape',
    (node, known) => {
      const s = shapeOf(known, node.inputs[0]);
      return s && [s.length];
    },
  ],
  ...rules(
    [
      'Identity',
      'Snapshot',
      'StopGradient',
      'Dropout',
      'BiasAdd',
      'Relu',
      'Relu6',
      'Elu',
      'Selu',
      'LeakyRelu',
      'Prelu',
      'Sigmoid',
      'Tanh',
      'Softplus',
      'Softmax',
      'LogSoftmax',
      'Neg',
      'Abs',
      'Square',
      'Sqrt',
      'Rsqrt',
      'Exp',
      'Log',
      'ClipByValue',
      'Cast',
      'FusedBatchNorm',
      'FusedBatchNormV2',
      'FusedBatchNormV3',
      'Round',
      'Floor',
      'Reciprocal',
      'Erf',
      'MixtureOfExperts',
    ],
    sameAsInput,
  ),
]);

/** Both branches read the one input. */
const branches: ManyRule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  return [input, input];
};

/** Ops that call functions say what these return. */
const called: ManyRule = (node) => {
  const { shape } = (node.attrs.output_shapes?.list ?? {}) as { shape?: unknown };
  return Array.isArray(shape) ? shape.map(parseShape) : [undefined];
};

const MANY_RULES: ReadonlyMap<string, ManyRule> = new Map([
  ['Switch', branches],
  ['If', called],
  ['StatelessIf', called],
  ['While', called],
  ['StatelessWhile', called],
  ['Split', split],
  ['SplitV', split],
  ['Unpack', unpack],
  ['TopKV2', topK],
]);

/** Follows the values of shape arithmetic. */
function inferValues(node: GraphNode, known: Inferred): readonly number[] | undefined {
  const first = node.inputs[0];
  switch (node.op) {
    case 'Shape':
      return shapeOf(known, first);
    case 'Pack': {
      const parts = node.inputs.map((i) => valuesOf(known, i));
      return parts.every((p) => p?.length === 1) ? parts.flatMap((p) => [...p!]) : undefined;
    }
    case 'ConcatV2': {
      const parts = node.inputs.slice(0, -1).map((i) => valuesOf(known, i));
      return parts.every((p) => p !== undefined) ? parts.flatMap((p) => [...p!]) : undefined;
    }
    case 'StridedSlice': {
      const values = valuesOf(known, first);
      const begin = valuesOf(known, node.inputs[1])?.[0];
      const end = valuesOf(known, node.inputs[2])?.[0];
      if (!values || begin === undefined || end === undefined) return undefined;
      if (((numberAttr(node, 'shrink_axis_mask') ?? 0) & 1) === 1) return values.slice(begin).slice(0, 1);
      const from = (numberAttr(node, 'begin_mask') ?? 0) & 1 ? 0 : begin;
      const to = (numberAttr(node, 'end_mask') ?? 0) & 1 ? undefined : end;
      return values.slice(from, to);
    }
    case 'Identity':
    case 'Cast':
      return valuesOf(known, first);
    default:
      return undefined;
  }
}

function outputShapes(node: GraphNode, known: Inferred): readonly (Shape | undefined)[] {
  const constant = known.graph.constants.get(node.name);
  if (constant) return [constant.shape];
  return MANY_RULES.get(node.op)?.(node, known) ?? [RULES.get(node.op)?.(node, known)];
}

/** Infers shapes node by node, each after those that it reads. */
export class ShapeInference {
  private readonly known: Inferred;

  /** @param graph its constants and inputs may grow while nodes are added */
  constructor(graph: Pick<Graph, 'constants' | 'inputs'>) {
    this.known = { shapes: new Map(), values: new Map(), graph };
  }

  get shapes(): Shapes {
    return this.known.shapes;
  }

  /** @throws LowbitError 'invalid-model' if the node's shapes cannot go together */
  add(node: GraphNode): void {
    const { known } = this;
    outputShapes(node, known).forEach((shape, index) => {
      if (shape && !Number.isSafeInteger(shape.reduce((p, d) => p * Math.abs(d), 1))) {
        throw invalid(node, `its shape [${shape}] multiplies past 2^53.`);
      }
      known.shapes.set(refKey({ node: node.name, index }), shape);
    });
    const values = inferValues(node, known);
    if (values) known.values.set(refKey({ node: node.name, index: 0 }), values);
  }
}

/**
 * Infers the shape of every tensor that can be known without running the graph.
 *
 * @throws LowbitError 'invalid-model' naming a node whose shapes cannot go together
 */
export function inferShapes(graph: Graph): Shapes {
  const inference = new ShapeInference(graph);
  for (const node of graph.nodes.values()) inference.add(node);
  return inference.shapes;
}
