/** The float ops of a graph as ONNX nodes. */
import { boolAttr, intsAttr, numberAttr } from '../../src/graph/attrs';
import { constantOf, output } from '../../src/graph/edit';
import type { GraphNode } from '../../src/graph/ir';
import type { OnnxBuilder } from './builder';
import { clamp } from './clamp';
import { axisOf, permute, TO_CHANNELS_FIRST, TO_CHANNELS_LAST } from './layout';
import { translateWeighted, windowAttributes } from './weighted';

type Translator = (node: GraphNode, builder: OnnxBuilder) => string;

function rankOf(node: GraphNode, builder: OnnxBuilder): number {
  return builder.shape(output(node.name)).length;
}

/** Inputs broadcast against each other, a constant among them as well. */
function elementwise(opType: string): Translator {
  return (node, builder) =>
    builder.node(
      opType,
      node.inputs.map((ref) => builder.read(ref, rankOf(node, builder))),
    );
}

function unary(opType: string): Translator {
  return (node, builder) => builder.node(opType, [builder.read(node.inputs[0], rankOf(node, builder))]);
}

function clampOf(activation: 'Relu' | 'Relu6'): Translator {
  return (node, builder) => {
    const value = builder.read(node.inputs[0], rankOf(node, builder));
    return clamp(activation, value, builder, output(node.name));
  };
}

/** With channels last in memory there and first here, a change of shape needs its input turned round, and its output. */
const reshape: Translator = (node, builder) => {
  const [ref] = node.inputs;
  const from = builder.shape(ref);
  const to = builder.shape(output(node.name));
  const pixels = (shape: readonly number[]) => shape.length === 4 && shape[1] * shape[2] !== 1;
  let value = builder.read(ref, from.length);
  if (pixels(from)) value = builder.node('Transpose', [value], { perm: TO_CHANNELS_LAST });
  const turned = pixels(to) || to.length !== 4 ? to : permute(to, TO_CHANNELS_FIRST);
  // One dimension that is not known may be left to ONNX.
  const shape = builder.constant(`${node.name}/shape`, 'int64', [turned.length], turned);
  value = builder.node('Reshape', [value, shape]);
  return pixels(to) ? builder.node('Transpose', [value], { perm: TO_CHANNELS_FIRST }) : value;
};

const mean: Translator = (node, builder) => {
  const rank = builder.shape(node.inputs[0]).length;
  const axes = Array.from(constantOf(builder.graph, node.inputs[1])?.values ?? [], (axis) =>
    axisOf(axis, rank),
  );
  if (rank !== 4 || axes.sort().join() !== '2,3')
    throw new Error(`Mean '${node.name}' is not over height and width.`);
  const pooled = builder.node('GlobalAveragePool', [builder.read(node.inputs[0], 4)]);
  if (boolAttr(node, 'keep_dims')) return pooled;
  const params = builder.paramsOf(output(node.name));
  return builder.node('Flatten', [params ? builder.requantize(pooled, params) : pooled]);
};

function pool(opType: 'MaxPool' | 'AveragePool'): Translator {
  return (node, builder) => {
    const attributes = windowAttributes(node, builder, intsAttr(node, 'ksize').slice(1, 3));
    const { dilations: _, ...withoutDilations } = attributes;
    return builder.node(opType, [builder.read(node.inputs[0], 4)], withoutDilations);
  };
}

const concat: Translator = (node, builder) => {
  const rank = rankOf(node, builder);
  const axis = constantOf(builder.graph, node.inputs.at(-1))!.values[0];
  const parts = node.inputs.slice(0, -1).map((ref) => builder.read(ref, rank));
  return builder.node('Concat', parts, { axis: axisOf(axis, rank) });
};

const softmax: Translator = (node, builder) => {
  const rank = rankOf(node, builder);
  return builder.node('Softmax', [builder.read(node.inputs[0], rank)], { axis: axisOf(-1, rank) });
};

const pad: Translator = (node, builder) => {
  const rank = rankOf(node, builder);
  const pairs = constantOf(builder.graph, node.inputs[1])!.values;
  const order = rank === 4 ? TO_CHANNELS_FIRST : builder.shape(node.inputs[0]).map((_, axis) => axis);
  const side = (which: 0 | 1) => order.map((axis) => pairs[axis * 2 + which]);
  const pads = builder.constant(`${node.name}/pads`, 'int64', [rank * 2], [...side(0), ...side(1)]);
  return builder.node('Pad', [builder.read(node.inputs[0], rank), pads]);
};

/** Ends that a mask leaves open: from one end to the other. */
const OPEN_END = 2 ** 31 - 1;

const stridedSlice: Translator = (node, builder) => {
  const [ref, ...bounds] = node.inputs;
  const rank = builder.shape(ref).length;
  if (rankOf(node, builder) !== rank) throw new Error(`StridedSlice '${node.name}' changes the rank.`);
  const [begin, end, step] = bounds.map((bound) => Array.from(constantOf(builder.graph, bound)!.values));
  const open = (mask: string, axis: number) => ((numberAttr(node, mask) ?? 0) >> axis) & 1;
  const list = (what: string, values: number[]) =>
    builder.constant(`${node.name}/${what}`, 'int64', [values.length], values);
  return builder.node('Slice', [
    builder.read(ref, rank),
    list(
      'starts',
      begin.map((at, axis) => (open('begin_mask', axis) ? 0 : at)),
    ),
    list(
      'ends',
      end.map((at, axis) => (open('end_mask', axis) ? OPEN_END : at)),
    ),
    list(
      'axes',
      begin.map((_, axis) => axisOf(axis, rank)),
    ),
    list('steps', step),
  ]);
};

const resizeBilinear: Translator = (node, builder) => {
  const [height, width] = constantOf(builder.graph, node.inputs[1])!.values;
  const [, inputHeight, inputWidth] = builder.shape(node.inputs[0]);
  const factors = [1, 1, height / inputHeight, width / inputWidth];
  const mode = boolAttr(node, 'align_corners')
    ? 'align_corners'
    : boolAttr(node, 'half_pixel_centers')
      ? 'half_pixel'
      : 'asymmetric';
  const factor = builder.constant(`${node.name}/scales`, 'float32', [4], factors);
  return builder.node('Resize', [builder.read(node.inputs[0], 4), '', factor], {
    mode: 'linear',
    coordinate_transformation_mode: mode,
  });
};

const TRANSLATORS: Readonly<Record<string, Translator>> = {
  Add: elementwise('Add'),
  AddV2: elementwise('Add'),
  BiasAdd: elementwise('Add'),
  AddN: elementwise('Sum'),
  Sub: elementwise('Sub'),
  Mul: elementwise('Mul'),
  RealDiv: elementwise('Div'),
  Maximum: elementwise('Max'),
  Minimum: elementwise('Min'),
  Prelu: elementwise('PRelu'),
  Relu: clampOf('Relu'),
  Relu6: clampOf('Relu6'),
  Sigmoid: unary('Sigmoid'),
  Tanh: unary('Tanh'),
  Elu: unary('Elu'),
  Neg: unary('Neg'),
  Identity: unary('Identity'),
  LeakyRelu: (node, builder) =>
    builder.node('LeakyRelu', [builder.read(node.inputs[0], rankOf(node, builder))], {
      alpha: { real: numberAttr(node, 'alpha') ?? 0.2 },
    }),
  MaxPool: pool('MaxPool'),
  AvgPool: pool('AveragePool'),
  Mean: mean,
  ConcatV2: concat,
  Reshape: reshape,
  Squeeze: reshape,
  ExpandDims: reshape,
  Softmax: softmax,
  Pad: pad,
  StridedSlice: stridedSlice,
  ResizeBilinear: resizeBilinear,
};

/**
 * @returns the ONNX value of a node's result, not quantized
 * @throws Error for an op that has no translation here
 */
export function translate(node: GraphNode, builder: OnnxBuilder): string {
  const weighted = translateWeighted(node, builder);
  if (weighted !== undefined) return weighted;
  const translator = TRANSLATORS[node.op];
  if (!translator) throw new Error(`${node.op} '${node.name}' has no ONNX translation here.`);
  return translator(node, builder);
}
