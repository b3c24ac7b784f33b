/** Convolutions, depthwise convolutions and matrix products with constant weights. */
import { refKey } from '../../graph/edit';
import { clampBounds } from '../../quantization/activation';
import { OpKind } from '../../runtime/program';
import { filterChannel, type LinearOp, linearKind, readLinearOp } from '../linear-op';
import type { ProgramBuilder, Store } from './program-builder';
import type { Matcher } from './quantizable';
import { type LayerWeights, quantizeWeights } from './weights';
import { windowOf } from './window';

/** The filter in the program's order: [out, h, w, in], [h, w, in * multiplier] or [out, in]. */
function reorder(op: LinearOp): Float32Array {
  const { values } = op.filter;
  if (op.kind === 'depthwise' || op.transposed) return values as Float32Array;
  const { channels } = op;
  const perChannel = values.length / channels;
  const reordered = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    reordered[i] = values[(i % perChannel) * channels + Math.floor(i / perChannel)];
  }
  return reordered;
}

function programChannel(op: LinearOp): (i: number) => number {
  if (op.kind === 'depthwise') return filterChannel(op);
  const perChannel = op.filter.values.length / op.channels;
  return (i) => Math.floor(i / perChannel);
}

/** The input channel of each weight in the program's order. */
function inputChannel(op: LinearOp): (i: number) => number {
  const [, , inChannels, last] = op.filter.shape;
  if (op.kind === 'depthwise') return (i) => Math.floor(i / last) % inChannels;
  const channels = op.kind === 'conv' ? inChannels : op.filter.values.length / op.channels;
  return (i) => i % channels;
}

function weightsOf(op: LinearOp): LayerWeights {
  return {
    node: op.node.name,
    input: op.input,
    values: reorder(op),
    channels: op.channels,
    outputChannel: programChannel(op),
    inputChannel: inputChannel(op),
    bias: op.bias,
  };
}

function lower(op: LinearOp, builder: ProgramBuilder, store: Store): void {
  const input = builder.read(op.input);
  const filter = quantizeWeights(weightsOf(op), builder);
  const bounds = clampBounds(
    op.activation === 'Relu6' ? 'relu6' : op.activation === 'Relu' ? 'relu' : 'linear',
  );
  const { output, activation } = builder.store(store, bounds);
  const common = { name: op.node.name, inputs: [input], output, filter, activation };
  const [height, width, inChannels, last] = op.filter.shape as [number, number, number, number];
  if (op.kind === 'matmul') {
    const inFeatures = op.filter.values.length / op.channels;
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
    activations: [op.input],
    weighted: true,
    fuses: true,
    storesFloat: kind !== 'depthwise',
    lower: (builder, store) => lower(op, builder, store),
  };
};
