/** The ops of a quantized program as ONNX nodes: NCHW, unsigned codes. */
import { type Op, OpKind, PaddingMode } from '../../src/program/program';
import type { ReferenceTensor } from '../kernels/reference/tensor';
import { windowAxes } from '../kernels/reference/window';
import type { CaseBuilder } from './case-builder';
import type { OnnxCase } from './onnx';

type Operand = OnnxCase['inputs'][string];

type WindowOp = Extract<Op, { window: unknown }>;
type FilterOp = Extract<Op, { filter: unknown }>;

const unsigned = (codes: readonly number[]) => codes.map((code) => code + 128);

/** [batch, height, width, channels] to [batch, channels, height, width]. */
function toChannelsFirst(values: ArrayLike<number>, [n, h, w, c]: readonly number[]): number[] {
  const result: number[] = [];
  for (let b = 0; b < n!; ++b) {
    for (let k = 0; k < c!; ++k) {
      for (let at = 0; at < h! * w!; ++at) result.push(values[(b * h! * w! + at) * c! + k]!);
    }
  }
  return result;
}

const scalar = (type: Operand['type'], value: number): Operand => ({ type, shape: [], values: [value] });

/** The scale and zero point of a tensor as two ONNX constants. */
export function affine(name: string, { spec }: ReferenceTensor): Record<string, Operand> {
  return {
    [`${name}Scale`]: scalar('float32', spec.scale),
    [`${name}Zero`]: scalar('uint8', spec.zeroPoint + 128),
  };
}

export const flat = ({ shape, values }: ReferenceTensor): Operand => ({
  type: 'uint8',
  shape,
  values: unsigned(values),
});

const channelsFirst = ({ shape: [n, h, w, c], values }: ReferenceTensor): Operand => ({
  type: 'uint8',
  shape: [n!, c!, h!, w!],
  values: unsigned(toChannelsFirst(values, [n!, h!, w!, c!])),
});

/**
 * onnxruntime works out SAME padding itself, with two exceptions: it refuses dilations there, and where a stride is
 * larger than the kernel it centres the window instead of starting at the first element as TensorFlow does.
 */
function windowAttributes(op: WindowOp, input: ReferenceTensor): NonNullable<OnnxCase['attributes']> {
  const { kernel, strides, dilations, padding } = op.window;
  const common = { kernel_shape: kernel, strides, ...(dilations && { dilations }) };
  const ownPadding = !dilations && strides[0] <= kernel[0] && strides[1] <= kernel[1];
  if (padding.mode === PaddingMode.Same && ownPadding) return { ...common, auto_pad: 'SAME_UPPER' };
  const { top = 0, left = 0, bottom = 0, right = 0 } = padding;
  if (padding.mode !== PaddingMode.Same) return { ...common, pads: [top, left, bottom, right] };
  const after = (axis: ReturnType<typeof windowAxes>[0]) =>
    Math.max(
      (axis.output - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1 - axis.input - axis.before,
      0,
    );
  const [rows, columns] = windowAxes(op.window, input.shape);
  return { ...common, pads: [rows.before, columns.before, after(rows), after(columns)] };
}

/** Bias and scales of a filter. */
function filterConstants(op: FilterOp, channels: number, weights: Int32Array): Record<string, Operand> {
  const { biasOffset, scaleOffset } = op.filter;
  const shape = [channels];
  return {
    wScale: { type: 'float32', shape, values: new Float32Array(weights.buffer, scaleOffset, channels) },
    wZero: { type: 'int8', shape, values: new Int8Array(channels) },
    ...(biasOffset !== undefined && {
      bias: { type: 'int32', shape, values: new Int32Array(weights.buffer, biasOffset, channels) },
    }),
  };
}

function qlinearConv(
  op: FilterOp,
  input: Operand,
  filter: Operand,
  [x, y]: readonly [x: ReferenceTensor, y: ReferenceTensor],
  weights: Int32Array,
  attributes: OnnxCase['attributes'],
): OnnxCase {
  const constants = filterConstants(op, filter.shape[0]!, weights);
  return {
    opType: 'QLinearConv',
    attributes,
    inputs: { x: input },
    constants: { w: filter, ...constants, ...affine('x', x), ...affine('y', y) },
    order: [
      'x',
      'xScale',
      'xZero',
      'w',
      'wScale',
      'wZero',
      'yScale',
      'yZero',
      'bias' in constants ? 'bias' : '',
    ],
    outputType: 'uint8',
  };
}

function convNode(
  op: Extract<Op, { kind: OpKind.Conv2D }>,
  x: ReferenceTensor,
  y: ReferenceTensor,
  weights: Int32Array,
): OnnxCase {
  const [kh, kw] = op.window.kernel;
  const depth = op.inChannels / op.groups;
  const stored = new Int8Array(weights.buffer, op.filter.filterOffset, op.outChannels * kh * kw * depth);
  const filter: Operand = {
    type: 'int8',
    shape: [op.outChannels, depth, kh, kw],
    values: toChannelsFirst(stored, [op.outChannels, kh, kw, depth]),
  };
  const attributes = { ...windowAttributes(op, x), group: op.groups };
  return qlinearConv(op, channelsFirst(x), filter, [x, y], weights, attributes);
}

function depthwiseNode(
  op: Extract<Op, { kind: OpKind.DepthwiseConv2D }>,
  x: ReferenceTensor,
  y: ReferenceTensor,
  weights: Int32Array,
): OnnxCase {
  const [kh, kw] = op.window.kernel;
  const channels = op.channels * op.multiplier;
  const stored = new Int8Array(weights.buffer, op.filter.filterOffset, kh * kw * channels);
  const filter: Operand = {
    type: 'int8',
    shape: [channels, 1, kh, kw],
    values: toChannelsFirst(stored, [1, kh, kw, channels]),
  };
  const attributes = { ...windowAttributes(op, x), group: op.channels };
  return qlinearConv(op, channelsFirst(x), filter, [x, y], weights, attributes);
}

/** QLinearMatMul has no bias: a linear layer with one is a 1x1 convolution of single pixels. */
function linearNode(
  op: Extract<Op, { kind: OpKind.Linear }>,
  x: ReferenceTensor,
  y: ReferenceTensor,
  weights: Int32Array,
): OnnxCase {
  const { inFeatures, outFeatures } = op;
  const rows = x.values.length / inFeatures;
  const stored = new Int8Array(weights.buffer, op.filter.filterOffset, outFeatures * inFeatures);
  if (op.filter.biasOffset !== undefined) {
    const filter: Operand = { type: 'int8', shape: [outFeatures, inFeatures, 1, 1], values: stored };
    const input: Operand = { type: 'uint8', shape: [rows, inFeatures, 1, 1], values: unsigned(x.values) };
    return qlinearConv(op, input, filter, [x, y], weights, {});
  }
  const b: Operand = {
    type: 'int8',
    shape: [inFeatures, outFeatures],
    values: toChannelsFirst(stored, [1, outFeatures, 1, inFeatures]),
  };
  return {
    opType: 'QLinearMatMul',
    inputs: { x: flat(x) },
    constants: { b, ...filterConstants(op, outFeatures, weights), ...affine('x', x), ...affine('y', y) },
    order: ['x', 'xScale', 'xZero', 'b', 'wScale', 'wZero', 'yScale', 'yZero'],
    outputType: 'uint8',
  };
}

function poolNode(
  op: Extract<Op, { kind: OpKind.MaxPool | OpKind.AvgPool }>,
  x: ReferenceTensor,
  y: ReferenceTensor,
): OnnxCase {
  const global = op.window.kernel[0] === 0;
  const inputs = { x: channelsFirst(x) };
  const attributes = global ? {} : windowAttributes(op, x);
  if (op.kind === OpKind.MaxPool) {
    const opType = 'MaxPool';
    const kernel_shape = [x.shape[1]!, x.shape[2]!];
    return {
      opType,
      attributes: global ? { kernel_shape } : attributes,
      inputs,
      constants: {},
      order: ['x'],
      outputType: 'uint8',
    };
  }
  return {
    opType: global ? 'QLinearGlobalAveragePool' : 'QLinearAveragePool',
    domain: 'com.microsoft',
    attributes,
    inputs,
    constants: { ...affine('x', x), ...affine('y', y) },
    order: ['x', 'xScale', 'xZero', 'yScale', 'yZero'],
    outputType: 'uint8',
  };
}

function binaryNode(kind: OpKind, a: ReferenceTensor, b: ReferenceTensor, y: ReferenceTensor): OnnxCase {
  return {
    opType: kind === OpKind.Add ? 'QLinearAdd' : 'QLinearMul',
    domain: 'com.microsoft',
    inputs: { a: flat(a), b: flat(b) },
    constants: { ...affine('a', a), ...affine('b', b), ...affine('y', y) },
    order: ['a', 'aScale', 'aZero', 'b', 'bScale', 'bZero', 'yScale', 'yZero'],
    outputType: 'uint8',
  };
}

function concatNode(axis: number, inputs: readonly ReferenceTensor[], y: ReferenceTensor): OnnxCase {
  const named = inputs.map((input, i) => [`x${i}`, input] as const);
  return {
    opType: 'QLinearConcat',
    domain: 'com.microsoft',
    attributes: { axis },
    inputs: Object.fromEntries(named.map(([name, input]) => [name, flat(input)])),
    constants: Object.assign(affine('y', y), ...named.map(([name, input]) => affine(name, input))),
    order: ['yScale', 'yZero', ...named.flatMap(([name]) => [name, `${name}Scale`, `${name}Zero`])],
    outputType: 'uint8',
  };
}

/** @throws Error for the kinds that onnxruntime has no op for */
export function toOnnx(op: Op, builder: CaseBuilder): OnnxCase {
  const weights = builder.weights.build();
  const [x, b] = op.inputs.map((id) => builder.tensors[id]!) as [ReferenceTensor, ReferenceTensor];
  const y = builder.tensors[op.output]!;
  switch (op.kind) {
    case OpKind.Conv2D:
      return convNode(op, x, y, weights);
    case OpKind.DepthwiseConv2D:
      return depthwiseNode(op, x, y, weights);
    case OpKind.Linear:
      return linearNode(op, x, y, weights);
    case OpKind.MaxPool:
    case OpKind.AvgPool:
      return poolNode(op, x, y);
    case OpKind.Add:
    case OpKind.Mul:
      return binaryNode(op.kind, x, b, y);
    case OpKind.Concat:
      return concatNode(
        op.axis,
        op.inputs.map((id) => builder.tensors[id]!),
        y,
      );
    default:
      throw new Error(`no ONNX counterpart of ${OpKind[op.kind]}`);
  }
}

/** onnxruntime refuses average pools that dilate, pads as wide as the kernel, and some ratios of scales. */
export function acceptsPool(
  op: WindowOp,
  [x, y]: readonly [x: ReferenceTensor, y: ReferenceTensor],
): boolean {
  const { kernel, dilations, padding } = op.window;
  if (kernel[0] === 0) return x.spec.scale / (y.spec.scale * x.shape[1]! * x.shape[2]!) < 256;
  const { mode, top = 0, bottom = 0, left = 0, right = 0 } = padding;
  const padsFit = Math.max(top, bottom) < kernel[0] && Math.max(left, right) < kernel[1];
  return padsFit && (!dilations || (op.kind === OpKind.MaxPool && mode !== PaddingMode.Same));
}

/** [batch, channels, height, width] to the NHWC `shape`. */
export function toChannelsLast(values: readonly number[], [n, h, w, c]: readonly number[]): number[] {
  return toChannelsFirst(values, [n!, c!, 1, h! * w!]);
}
