/**
 * Transposed convolutions with constant weights, of any window. TensorFlow has no transposed convolution with a bias, so no
 * pass can fold one into the graph: a following scale and shift of each channel is fused when the region is planned.
 */
import { intsAttr, stringAttr } from '../../../graph/attrs';
import { constantOf, output, refKey } from '../../../graph/edit';
import type { Constant, GraphNode, TensorRef } from '../../../graph/ir';
import { OpKind, type Window } from '../../../program/program';
import type { ChannelAffine } from '../../fold-batch-norm';
import type { ProgramBuilder } from '../lower/program-builder';
import { type Store, storeResult } from '../lower/store';
import { type LayerWeights, quantizeWeights } from '../lower/weights';
import { windowOf } from '../lower/window';
import type { Matcher, WeightedLayer } from './quantizable';

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

function after(first: ChannelAffine, second: ChannelAffine): ChannelAffine {
  return {
    scale: first.scale.map((v, c) => v * second.scale[c]),
    shift: first.shift.map((v, c) => v * second.scale[c] + second.shift[c]),
  };
}

function layer(op: Transposed, affine?: ChannelAffine): WeightedLayer {
  return {
    kind: 'weighted',
    activations: [op.input],
    fuseAffine: (next) => layer(op, affine ? after(affine, next) : next),
    ...(affine && { layerNode: op.node }),
    lower: (builder, store) => lower(op, builder, store, affine),
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
  return layer({ node, input: input!, filter, window, outputSize: [to[1], to[2]] });
};
