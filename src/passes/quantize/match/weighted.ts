/** Convolutions, depthwise convolutions and matrix products with constant weights. */
import { output, refKey } from '../../../graph/edit';
import type { Constant, TensorRef } from '../../../graph/ir';
import { cameFromBytes, piecesOf, sliceOf } from '../../../graph/stored-constants';
import {
  type Activation,
  Granularity,
  type Int8FilterRef,
  type Int16FilterRef,
  type OffsetInt8FilterRef,
  OpKind,
  type Window,
} from '../../../program/program';
import { boundsOfBoth, UNBOUNDED } from '../../../quantization/activation';
import { fitsInt16 } from '../../../quantization/int16-filter';
import {
  activationBounds,
  type LinearOp,
  linearKind,
  readLinearOp,
  weightCount,
  weightsPerChannel,
} from '../../linear-op';
import { inputChannel, programChannel, reorderForNow, tapOf } from '../lower/filter-order';
import { gainsByGrid } from '../lower/grid-offset';
import { lowerLowBit } from '../lower/low-bit';
import type { ProgramBuilder } from '../lower/program-builder';
import { type Store, storeResult } from '../lower/store';
import {
  type LayerWeights,
  quantizeDynamicWeights,
  quantizeInt16Weights,
  quantizeWeights,
} from '../lower/weights';
import { tapShares, windowOf } from '../lower/window';
import type { FloatForm, Matcher } from './quantizable';

/** The share of outputs that each weight contributes to: at the border some taps of the window lie on padding. */
function shares(op: LinearOp, builder: ProgramBuilder): LayerWeights['share'] {
  if (op.kind === 'matmul') return undefined;
  const window = windowOf(op.node, [op.filter.shape[0], op.filter.shape[1]]) as Window;
  const ofTap = tapShares(window, builder.shape(op.input), builder.shape(output(op.node.name)));
  const tap = tapOf(op);
  return (i) => ofTap[tap(i)];
}

/** Weights of a layer that are quantized together; of more than that some channels after the others. */
const MAX_TOGETHER = 2 ** 21;

/** A large layer as layers of some of its channels each; undefined for one that is not divided. */
function blocksOf(op: LinearOp): LinearOp[] | undefined {
  const size = weightCount(op.filter);
  if (op.kind === 'depthwise' || size <= MAX_TOGETHER) return undefined;
  const count = Math.min(op.channels, Math.ceil(size / MAX_TOGETHER));
  const axis = op.transposed ? 0 : op.filter.shape.length - 1;
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [i, i + 1].map((k) => Math.floor((k * op.channels) / count));
    const filter = sliceOf(op.filter, axis, from, to);
    return { ...op, filter, channels: to - from, bias: op.bias?.subarray(from, to) };
  });
}

function largest(constant: Constant): number {
  let most = 0;
  for (const { values } of piecesOf(constant))
    for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
}

function blockWeights(op: LinearOp, share: LayerWeights['share']): LayerWeights {
  return {
    node: op.node.name,
    input: op.input,
    values: () => reorderForNow(op),
    channels: op.channels,
    outputChannel: programChannel(op),
    inputChannel: inputChannel(op),
    share,
    bias: op.bias,
    fewBits: cameFromBytes(op.filter),
  };
}

function weightsOf(op: LinearOp, builder: ProgramBuilder): LayerWeights {
  const share = shares(op, builder);
  const blocks = blocksOf(op);
  if (!blocks) return blockWeights(op, share);
  // Which tap a weight belongs to does not depend on the number of channels.
  const all = blocks.map((block) => blockWeights(block, share));
  const size = weightCount(op.filter);
  return { ...blockWeights(op, share), blocks: { all, size, strongest: () => largest(op.filter) } };
}

function lower(op: LinearOp, builder: ProgramBuilder, store: Store): void {
  const encoded = builder.options.lowBit?.get(op.node.name);
  if (encoded) {
    lowerLowBit(op, encoded, builder, store, shares(op, builder));
    return;
  }
  const inputs = [builder.read(op.input)];
  const filter = quantizeWeights(weightsOf(op, builder), builder);
  append(op, builder, { inputs, filter, ...storeResult(builder, store, activationBounds(op)) });
}

/** The finest granularity of dynamic activations: one scale for all that is summed into one output. */
function granularityOf(op: LinearOp): Granularity {
  if (op.kind === 'depthwise') return Granularity.Channel;
  if (op.kind === 'matmul') return Granularity.Row;
  const { kernel, strides, padding } = windowOf(op.node, [op.filter.shape[0], op.filter.shape[1]]) as Window;
  const { top = 0, bottom = 0, left = 0, right = 0 } = padding;
  const ones = [...kernel, ...strides].every((size) => size === 1);
  return ones && top + bottom + left + right === 0 ? Granularity.Row : Granularity.Sample;
}

/** Codes by the values at hand. */
function readDynamic(op: LinearOp, builder: ProgramBuilder): number {
  const { node, input, filter } = op;
  const granularity = granularityOf(op);
  const grid = granularity === Granularity.Sample ? builder.calibrated.grid(input) : undefined;
  const gains = grid && gainsByGrid(grid, node, filter.shape, (ref) => builder.shape(ref));
  return builder.readDynamic(input, granularity, gains ? grid : undefined);
}

function lowerFloatInOut(op: LinearOp, builder: ProgramBuilder, result: TensorRef, form: FloatForm): void {
  const weights = weightsOf(op, builder);
  const int16 = form.precision === 'int16';
  const inputs = [int16 ? builder.readInt16(op.input) : readDynamic(op, builder)];
  const filter = int16 ? quantizeInt16Weights(weights, builder) : quantizeDynamicWeights(weights, builder);
  const [floatMin, floatMax] = boundsOfBoth(activationBounds(op), form.clamp ?? UNBOUNDED);
  const output = builder.floatResult(result);
  append(op, builder, { inputs, filter, output, activation: { floatMin, floatMax } });
}

interface Lowered {
  readonly inputs: readonly number[];
  readonly filter: Int8FilterRef | Int16FilterRef | OffsetInt8FilterRef;
  readonly output: number;
  readonly activation: Activation;
}

/** Appends the op: the fields that do not depend on the precision of the activations. */
function append(op: LinearOp, builder: ProgramBuilder, lowered: Lowered): void {
  const common = { name: op.node.name, ...lowered };
  const [height, width, inChannels, last] = op.filter.shape as [number, number, number, number];
  if (op.kind === 'matmul') {
    const inFeatures = weightsPerChannel(op);
    builder.op({ ...common, kind: OpKind.Linear, inFeatures, outFeatures: op.channels });
    return;
  }
  const window = windowOf(op.node, [height, width]);
  if (typeof window === 'string') throw new Error(window);
  if (op.kind === 'conv') {
    builder.op({ ...common, kind: OpKind.Conv2D, inChannels, outChannels: op.channels, groups: 1, window });
  } else {
    builder.op({ ...common, kind: OpKind.DepthwiseConv2D, channels: inChannels, multiplier: last, window });
  }
}

/** Whether the engine can run the op with float32 input and output. */
function hasFloatForm(op: LinearOp): boolean {
  return op.kind !== 'depthwise' || op.filter.shape[3] === 1;
}

export const matchWeighted: Matcher = (node, { graph, shapes }) => {
  const kind = linearKind(node);
  if (!kind) return undefined;
  const op = readLinearOp(graph, node);
  if (typeof op === 'string') return op;
  const rank = shapes.get(refKey(op.input))?.length;
  const expected = kind === 'matmul' ? 2 : 4;
  if (rank !== expected)
    return rank === undefined ? 'the shape of its input is not known' : `its input has rank ${rank}`;
  if (kind !== 'matmul') {
    const window = windowOf(node, [op.filter.shape[0], op.filter.shape[1]]);
    if (typeof window === 'string') return window;
  }
  return {
    kind: 'weighted',
    activations: [op.input],
    lower: (builder, store) => lower(op, builder, store),
    ...(hasFloatForm(op) && {
      lowerFloat: (builder: ProgramBuilder, result: TensorRef, form: FloatForm) =>
        lowerFloatInOut(op, builder, result, form),
      overflowsInt16: !fitsInt16(weightsPerChannel(op)),
    }),
  };
};
