/**
 * The reference against the float kernels of TF.js: on the real values that codes, weights and biases stand for, each
 * result must be the real one, to half a step of the output.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import {
  type FilterRef,
  type Op,
  OpKind,
  PaddingMode,
  PadMode,
  type TensorSpec,
  TensorType,
  type Window,
} from '../../src/program/program';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { forEachCase } from '../support/random';
import { ARITHMETIC_SERIES, FLOAT_SERIES } from '../support/series';
import { transposedSize } from './reference/filters';
import { type ReferenceTensor, sizeOf } from './reference/tensor';

const CASES = 200;

/** What sums in float32 may be off, relative to the largest term, in addition to half a step. */
const FLOAT_ERROR = 1e-4;

const real = ({ spec, shape, values }: ReferenceTensor) =>
  tf.tensor(
    values.map((code) => (code - spec.zeroPoint) * spec.scale),
    [...shape],
  );

interface RealFilter {
  /** [outputs][taps] or, for a depthwise convolution, [taps][outputs]. */
  readonly weights: number[];
  readonly bias: tf.Tensor1D;
}

function realFilter(
  ref: FilterRef,
  blob: Int32Array,
  inputScale: number,
  outputs: number,
  taps: number,
  channelOf: (index: number) => number,
): RealFilter {
  const codes = new Int8Array(blob.buffer, ref.filterOffset, outputs * taps);
  const scales = new Float32Array(blob.buffer, ref.scaleOffset, outputs);
  const { biasOffset } = ref;
  const bias =
    biasOffset === undefined ? new Int32Array(outputs) : new Int32Array(blob.buffer, biasOffset, outputs);
  return {
    weights: Array.from(codes, (code, i) => code * scales[channelOf(i)]!),
    bias: tf.tensor1d(Array.from(bias, (b, channel) => b * inputScale * scales[channel]!)),
  };
}

type Padding = Parameters<typeof tf.conv2d>[3];

function paddingOf({ padding }: Window): Padding {
  if (padding.mode !== PaddingMode.Explicit) return padding.mode === PaddingMode.Same ? 'same' : 'valid';
  const { top = 0, bottom = 0, left = 0, right = 0 } = padding;
  return [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
}

/**
 * TF.js has no groups, no dilation of strided windows, no dilation of pools; of matrices it broadcasts single ones
 * rightly, but not a batch along one of two axes.
 */
function hasCounterpart(op: Op, inputs: readonly ReferenceTensor[], result: ReferenceTensor): boolean {
  if (op.kind === OpKind.BatchMatMul) {
    const count = ({ shape }: ReferenceTensor) => sizeOf(shape.slice(0, -2));
    return inputs.every((input) => count(input) === 1 || count(input) === count(result));
  }
  if (op.kind === OpKind.Conv2D && op.groups > 1) return false;
  if (!('window' in op) || op.window.dilations === undefined) return true;
  const { strides, dilations } = op.window;
  const isPool = op.kind === OpKind.MaxPool || op.kind === OpKind.AvgPool;
  return Math.max(...dilations) === 1 || (!isPool && Math.max(...strides) === 1);
}

function pool(op: Extract<Op, { kind: OpKind.MaxPool | OpKind.AvgPool }>, x: tf.Tensor4D): tf.Tensor {
  const [kernelH, kernelW] = op.window.kernel[0] === 0 ? [x.shape[1], x.shape[2]] : op.window.kernel;
  const run = op.kind === OpKind.MaxPool ? tf.maxPool : tf.avgPool;
  return run(x, [kernelH, kernelW], [...op.window.strides], paddingOf(op.window));
}

function convolve(op: Op, x: tf.Tensor4D, inputScale: number, blob: Int32Array): tf.Tensor {
  if (op.kind === OpKind.Conv2D) {
    const [h, w] = op.window.kernel;
    const { inChannels, outChannels } = op;
    const taps = h * w * inChannels;
    const { weights, bias } = realFilter(op.filter, blob, inputScale, outChannels, taps, (i) =>
      Math.floor(i / taps),
    );
    const filter = tf.transpose(tf.tensor4d(weights, [outChannels, h, w, inChannels]), [1, 2, 3, 0]);
    const { strides, dilations = [1, 1] } = op.window;
    return tf.add(tf.conv2d(x, filter, [...strides], paddingOf(op.window), 'NHWC', [...dilations]), bias);
  }
  if (op.kind !== OpKind.DepthwiseConv2D) throw new Error(`no convolution: ${OpKind[op.kind]}`);
  const [h, w] = op.window.kernel;
  const outputs = op.channels * op.multiplier;
  const { weights, bias } = realFilter(op.filter, blob, inputScale, outputs, h * w, (i) => i % outputs);
  const filter = tf.tensor4d(weights, [h, w, op.channels, op.multiplier]);
  const { strides, dilations = [1, 1] } = op.window;
  return tf.add(
    tf.depthwiseConv2d(x, filter, [...strides], paddingOf(op.window), 'NHWC', [...dilations]),
    bias,
  );
}

function transposed(
  op: Extract<Op, { kind: OpKind.TransposedConv2D }>,
  x: tf.Tensor4D,
  inputScale: number,
  blob: Int32Array,
): tf.Tensor {
  const { inChannels, outChannels, window } = op;
  const [h, w] = window.kernel;
  const taps = h * w * inChannels;
  const { weights, bias } = realFilter(op.filter, blob, inputScale, outChannels, taps, (i) =>
    Math.floor(i / taps),
  );
  const filter = tf.transpose(tf.tensor4d(weights, [outChannels, h, w, inChannels]), [1, 2, 0, 3]);
  const [height, width] = transposedSize(op, x.shape[1], x.shape[2]);
  const shape: [number, number, number, number] = [x.shape[0], height, width, outChannels];
  const padding = paddingOf(window) as 'same' | 'valid';
  return tf.add(tf.conv2dTranspose(x, filter, shape, [...window.strides], padding), bias);
}

function padded(
  { paddings, mode, code }: Extract<Op, { kind: OpKind.Pad }>,
  x: tf.Tensor,
  { scale, zeroPoint }: TensorSpec,
): tf.Tensor {
  const amounts = paddings.map(([before, after]): [number, number] => [before, after]);
  return mode === PadMode.Constant
    ? tf.pad(x, amounts, (code - zeroPoint) * scale)
    : tf.mirrorPad(x, amounts, mode === PadMode.Reflect ? 'reflect' : 'symmetric');
}

function sliced({ ranges }: Extract<Op, { kind: OpKind.Slice }>, x: tf.Tensor): tf.Tensor {
  const begins = ranges.map(({ begin }) => begin);
  const strides = ranges.map(({ stride }) => stride);
  const ends = ranges.map(({ begin, size, stride }, axis) =>
    size === -1 ? x.shape[axis]! : begin + (size - 1) * stride + 1,
  );
  return tf.stridedSlice(x, begins, ends, strides);
}

/** TF.js has no such op: the pixels of a block become an axis of their own beside the channels. */
function spaceToDepth(x: tf.Tensor4D, block: number): tf.Tensor {
  const [n, h, w, c] = x.shape;
  const blocks = tf.reshape(x, [n, h / block, block, w / block, block, c]);
  return tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [n, h / block, w / block, block * block * c]);
}

function layerNormalized(
  { channels, gammaOffset, betaOffset, epsilon }: Extract<Op, { kind: OpKind.LayerNormalization }>,
  x: tf.Tensor,
  { buffer }: Int32Array,
): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const numbers = (offset: number) => tf.tensor1d(new Float32Array(buffer, offset, channels));
  const normalized = tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(normalized, numbers(gammaOffset)), numbers(betaOffset));
}

/** The op in real numbers. */
function runFloat(op: Op, inputs: readonly ReferenceTensor[], blob: Int32Array): tf.Tensor {
  const [x, y] = inputs.map(real);
  const inputScale = inputs[0]!.spec.scale;
  switch (op.kind) {
    case OpKind.Conv2D:
    case OpKind.DepthwiseConv2D:
      return convolve(op, x as tf.Tensor4D, inputScale, blob);
    case OpKind.Linear: {
      const { inFeatures, outFeatures } = op;
      const channelOf = (i: number) => Math.floor(i / inFeatures);
      const { weights, bias } = realFilter(op.filter, blob, inputScale, outFeatures, inFeatures, channelOf);
      const rows = tf.reshape(x!, [-1, inFeatures]);
      return tf.add(tf.matMul(rows, tf.tensor2d(weights, [outFeatures, inFeatures]), false, true), bias);
    }
    case OpKind.MaxPool:
    case OpKind.AvgPool:
      return pool(op, x as tf.Tensor4D);
    case OpKind.Add:
      return tf.add(x!, y!);
    case OpKind.Mul:
      return tf.mul(x!, y!);
    case OpKind.Concat:
      return tf.concat(inputs.map(real), op.axis);
    case OpKind.Softmax:
      return tf.softmax(x!);
    case OpKind.LayerNormalization:
      return layerNormalized(op, x!, blob);
    case OpKind.TransposedConv2D:
      return transposed(op, x as tf.Tensor4D, inputScale, blob);
    case OpKind.BatchMatMul:
      return tf.matMul(x!, y!, op.transposeA, op.transposeB);
    case OpKind.Sub:
      return tf.sub(x!, y!);
    case OpKind.Maximum:
      return tf.maximum(x!, y!);
    case OpKind.Minimum:
      return tf.minimum(x!, y!);
    case OpKind.Prelu:
      return tf.prelu(x!, tf.tensor1d(new Float32Array(blob.buffer, op.alphaOffset, op.channels)));
    case OpKind.Pad:
      return padded(op, x!, inputs[0]!.spec);
    case OpKind.Slice:
      return sliced(op, x!);
    case OpKind.Transpose:
      return tf.transpose(x!, [...op.axes]);
    case OpKind.SpaceToDepth:
      return spaceToDepth(x as tf.Tensor4D, op.block);
    case OpKind.DepthToSpace:
      return op.block === 1 ? x! : tf.depthToSpace(x as tf.Tensor4D, op.block);
    case OpKind.ResizeNearestNeighbor:
    case OpKind.ResizeBilinear: {
      const { height, width, alignCorners, halfPixelCenters } = op.size;
      const resize =
        op.kind === OpKind.ResizeBilinear ? tf.image.resizeBilinear : tf.image.resizeNearestNeighbor;
      return resize(x as tf.Tensor4D, [height, width], alignCorners, halfPixelCenters);
    }
    default:
      throw new Error(`no float counterpart of ${OpKind[op.kind]}`);
  }
}

/** Requires every code to be the one next to the real value, and returns how many there are. */
function expectNearest({ spec, values }: ReferenceTensor, floats: ArrayLike<number>): number {
  expect(floats).toHaveLength(values.length);
  for (const [i, code] of values.entries()) {
    if (spec.type === TensorType.Float32) {
      if (!(Math.abs(code - floats[i]!) <= FLOAT_ERROR * Math.abs(floats[i]!) + FLOAT_ERROR))
        throw new Error(`element ${i} is ${code}, TF.js has ${floats[i]}`);
      continue;
    }
    const steps = floats[i]! / spec.scale + spec.zeroPoint;
    const saturated = Math.min(127, Math.max(-128, steps));
    const error = 0.5 + FLOAT_ERROR * (1 + Math.abs(steps));
    if (!(Math.abs(code - saturated) <= error)) {
      throw new Error(`element ${i} is ${code}, TF.js has ${steps}`);
    }
  }
  return values.length;
}

beforeAll(() => tf.setBackend('cpu'));

test.each([...ARITHMETIC_SERIES, ...FLOAT_SERIES])(
  '$label is TF.js in real numbers, to half a step',
  async ({ label, draw }) => {
    let compared = 0;
    await forEachCase(`TF.js ${label}`, CASES, (random) => {
      const builder = new CaseBuilder();
      const ours = builder.tensors[draw(new Drawer(builder, random, true), random)]!;
      const op = builder.program.ops.at(-1)!;
      const inputs = op.inputs.map((id) => builder.tensors[id]!);
      if (!hasCounterpart(op, inputs, ours)) return;
      tf.tidy(() => {
        compared += expectNearest(ours, runFloat(op, inputs, builder.weights.build()).dataSync());
      });
    });
    expect(compared).toBeGreaterThan(4000);
  },
);
