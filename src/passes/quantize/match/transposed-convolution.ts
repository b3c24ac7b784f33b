/**
 * Transposed convolutions with constant weights, of any window. TensorFlow has no transposed convolution with a bias, so no
 * pass can fold one into the graph: a following scale and shift of each channel is fused when the region is planned.
 *
 * With float32 input and output the engine has convolutions only: one of them computes the s * s pixels of the result that
 * begin at each pixel of the input, where the result is s times as large, and DepthToSpace puts them in place. Pixel
 * s Y + i of a line is the sum over d of pixel Y + d of the input times tap i + p - s d, with p pixels of padding: taps that
 * a pixel does not have are zeros.
 */
import { intsAttr, stringAttr } from '../../../graph/attrs';
import { constantOf, output, refKey } from '../../../graph/edit';
import type { Constant, GraphNode, TensorRef } from '../../../graph/ir';
import { Granularity, OpKind, PaddingMode, type Window } from '../../../program/program';
import { UNBOUNDED } from '../../../quantization/activation';
import { fitsInt16 } from '../../../quantization/int16-filter';
import type { ChannelAffine } from '../../fold-batch-norm';
import type { ProgramBuilder } from '../lower/program-builder';
import { type Store, storeResult } from '../lower/store';
import {
  type LayerWeights,
  quantizeDynamicWeights,
  quantizeInt16Weights,
  quantizeWeights,
} from '../lower/weights';
import { windowOf } from '../lower/window';
import type { FloatForm, Matcher, WeightedLayer } from './quantizable';

interface Transposed {
  readonly node: GraphNode;
  readonly input: TensorRef;
  /** [height, width, out, in] */
  readonly filter: Constant;
  readonly window: Window;
  readonly outputSize: readonly [height: number, width: number];
}

/** The filter in the program's order, [out, height, width, in], scaled and shifted channel by channel. */
function weightsOf({ node, input, filter, window }: Transposed, affine?: ChannelAffine): LayerWeights {
  const [height, width, channels, depth] = filter.shape;
  const taps = height * width;
  const before = filter.values;
  const values = new Float32Array(before.length);
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / (taps * depth));
    const tap = Math.floor(i / depth) % taps;
    const scale = affine?.scale[channel] ?? 1;
    values[i] = scale * before[(tap * channels + channel) * depth + (i % depth)];
  }
  return {
    node: node.name,
    input,
    values: () => values,
    channels,
    outputChannel: (i) => Math.floor(i / (taps * depth)),
    inputChannel: (i) => i % depth,
    ...(affine && { bias: Float32Array.from(affine.shift) }),
    share: () => 1 / (window.strides[0] * window.strides[1]),
  };
}

function lower(op: Transposed, builder: ProgramBuilder, store: Store, affine?: ChannelAffine): void {
  const [, , outChannels, inChannels] = op.filter.shape;
  const filter = quantizeWeights(weightsOf(op, affine), builder);
  builder.op({
    kind: OpKind.TransposedConv2D,
    name: op.node.name,
    inputs: [builder.read(op.input)],
    filter,
    inChannels,
    outChannels,
    window: op.window,
    outputSize: op.outputSize,
    ...storeResult(builder, store),
  });
}

/** Along one axis: the pixels of the input that a block of the result reads, and the taps that they are multiplied by. */
function readsOf(kernel: number, stride: number, padding: number) {
  const first = Math.ceil((padding - kernel + 1) / stride);
  const last = Math.floor((stride - 1 + padding) / stride);
  return {
    before: -first,
    after: last,
    size: last - first + 1,
    /** For pixel `i` of the block and a place among those pixels; outside of the filter where there is none. */
    tap: (i: number, place: number) => i + padding - stride * (first + place),
  };
}

/** The padding before the first pixel of a result that is as many times larger as the strides are. */
function paddingBefore({ kernel, strides, padding }: Window, axis: 0 | 1): number {
  if (padding.mode === PaddingMode.Valid) return 0;
  if (padding.mode === PaddingMode.Same) return Math.max(0, kernel[axis] - strides[axis]) >> 1;
  return (axis === 0 ? padding.top : padding.left) ?? 0;
}

/** What a block of the result reads of the input, down and across. */
function blockReads({ window }: Transposed) {
  const { kernel, strides } = window;
  return ([0, 1] as const).map((axis) => readsOf(kernel[axis], strides[axis], paddingBefore(window, axis)));
}

/** The blocks of pixels that a convolution computes: its window, its channels and its weights. */
function blocksOf(op: Transposed, affine?: ChannelAffine) {
  const { filter, window } = op;
  const [height, width, channels, depth] = filter.shape;
  const [block] = window.strides;
  const [down, across] = blockReads(op);
  const pixels = block * block;
  const taps = down.size * across.size;
  const values = new Float32Array(pixels * channels * taps * depth);
  for (let i = 0; i < values.length; i++) {
    const [input, tap, channel, pixel] = digits(i, [depth, taps, channels, pixels]);
    const row = down.tap(Math.floor(pixel / block), Math.floor(tap / across.size));
    const column = across.tap(pixel % block, tap % across.size);
    if (row < 0 || row >= height || column < 0 || column >= width) continue;
    const weight = filter.values[((row * width + column) * channels + channel) * depth + input];
    values[i] = (affine?.scale[channel] ?? 1) * weight;
  }
  const weights: LayerWeights = {
    node: op.node.name,
    input: op.input,
    values: () => values,
    channels: pixels * channels,
    outputChannel: (i) => Math.floor(i / (taps * depth)),
    inputChannel: (i) => i % depth,
    ...(affine && {
      bias: Float32Array.from({ length: pixels * channels }, (_, c) => affine.shift[c % channels]),
    }),
  };
  const padding = {
    mode: PaddingMode.Explicit,
    ...{ top: down.before, bottom: down.after, left: across.before, right: across.after },
  };
  const one: [number, number] = [1, 1];
  const conv: Window = { kernel: [down.size, across.size], strides: one, dilations: one, padding };
  return { block, weights, window: conv };
}

/** A number's digits, the last one first, where each place has as many values as given. */
function digits(value: number, sizes: readonly number[]): number[] {
  let rest = value;
  return sizes.map((size) => {
    const digit = rest % size;
    rest = Math.floor(rest / size);
    return digit;
  });
}

function lowerFloat(
  op: Transposed,
  builder: ProgramBuilder,
  result: TensorRef,
  { precision, clamp = UNBOUNDED }: FloatForm,
  affine?: ChannelAffine,
): void {
  const { block, weights, window } = blocksOf(op, affine);
  const int16 = precision === 'int16';
  const filter = int16 ? quantizeInt16Weights(weights, builder) : quantizeDynamicWeights(weights, builder);
  const input = int16 ? builder.readInt16(op.input) : builder.readDynamic(op.input, Granularity.Sample);
  const whole = builder.floatResult(result);
  const [batch, height, width] = builder.shape(op.input);
  const pixels = builder.temporaryLike(whole, [batch, height, width, weights.channels]);
  const [floatMin, floatMax] = clamp;
  builder.op({
    kind: OpKind.Conv2D,
    name: op.node.name,
    inputs: [input],
    output: pixels,
    filter,
    inChannels: op.filter.shape[3],
    outChannels: weights.channels,
    groups: 1,
    window,
    activation: { floatMin, floatMax },
  });
  builder.op({ kind: OpKind.DepthToSpace, name: op.node.name, inputs: [pixels], output: whole, block });
}

/** Whether the result is as many times larger as the strides are, alike in both directions. */
function isMultiple({ window: { strides }, outputSize }: Transposed, from: readonly number[]): boolean {
  const [block] = strides;
  return (
    strides[1] === block &&
    [0, 1].every((axis) => from[1 + axis] > 0 && outputSize[axis] === block * from[1 + axis])
  );
}

function after(first: ChannelAffine, second: ChannelAffine): ChannelAffine {
  return {
    scale: first.scale.map((v, c) => v * second.scale[c]),
    shift: first.shift.map((v, c) => v * second.scale[c] + second.shift[c]),
  };
}

function layer(op: Transposed, hasFloatForm: boolean, affine?: ChannelAffine): WeightedLayer {
  return {
    kind: 'weighted',
    activations: [op.input],
    fuseAffine: (next) => layer(op, hasFloatForm, affine ? after(affine, next) : next),
    ...(affine && { layerNode: op.node }),
    lower: (builder, store) => lower(op, builder, store, affine),
    ...(hasFloatForm && {
      lowerFloat: (builder: ProgramBuilder, result: TensorRef, form: FloatForm) =>
        lowerFloat(op, builder, result, form, affine),
      overflowsInt16: !fitsInt16(blockReads(op).reduce((taps, { size }) => taps * size, op.filter.shape[3])),
    }),
  };
}

export const matchTransposedConvolution: Matcher = (node, { graph, shapes }) => {
  if (node.op !== 'Conv2DBackpropInput') return undefined;
  const [, weights, input] = node.inputs;
  const filter = constantOf(graph, weights);
  if (filter?.dtype !== 'float32' || filter.shape.length !== 4) return 'its weights are not constant';
  if ((stringAttr(node, 'data_format') ?? 'NHWC').toUpperCase() !== 'NHWC')
    return 'its data format is not NHWC';
  if (intsAttr(node, 'dilations').some((d) => d !== 1)) return 'its window is dilated';
  const [from, to] = [shapes.get(refKey(input!)), shapes.get(refKey(output(node.name)))];
  if (from?.length !== 4 || to?.length !== 4 || to[1] < 1 || to[2] < 1) return 'its size is not known';
  const window = windowOf(node, [filter.shape[0], filter.shape[1]]);
  if (typeof window === 'string') return window;
  const op: Transposed = { node, input: input!, filter, window, outputSize: [to[1], to[2]] };
  return layer(op, isMultiple(op, from));
};
