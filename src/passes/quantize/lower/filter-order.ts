/** The order of weights in a program: [out, h, w, in], [h, w, in * multiplier] or [out, in]. */
import { filterChannel, type LinearOp, weightsPerChannel } from '../../linear-op';

/** The filter in the program's order. */
export function reorder(op: Pick<LinearOp, 'kind' | 'filter' | 'transposed' | 'channels'>): Float32Array {
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

/** The output channel of each weight in the program's order. */
export function programChannel(op: LinearOp): (i: number) => number {
  if (op.kind === 'depthwise') return filterChannel(op);
  const perChannel = weightsPerChannel(op);
  return (i) => Math.floor(i / perChannel);
}

/** Channels of the input: a row of weights has them once for every position of the window. */
export function inputChannels(op: LinearOp): number {
  return op.kind === 'conv' ? op.filter.shape[2] : weightsPerChannel(op);
}

/** The input channel of each weight in the program's order. */
export function inputChannel(op: LinearOp): (i: number) => number {
  const [, , inChannels, last] = op.filter.shape;
  if (op.kind === 'depthwise') return (i) => Math.floor(i / last) % inChannels;
  const channels = inputChannels(op);
  return (i) => i % channels;
}

/** The inverse of `reorder`: values in the program's order, in the order of the op's filter. */
export function inFilterOrder(op: LinearOp, values: Float32Array): Float32Array {
  if (op.kind === 'depthwise' || op.transposed) return values;
  const { channels } = op;
  const perChannel = values.length / channels;
  const ordered = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    ordered[(i % perChannel) * channels + Math.floor(i / perChannel)] = values[i];
  }
  return ordered;
}

/** For a convolution: the tap (position in the window) of each weight in the program's order. */
export function tapOf(op: LinearOp): (i: number) => number {
  const [height, width, inChannels, last] = op.filter.shape;
  const taps = height * width;
  return op.kind === 'depthwise'
    ? (i) => Math.floor(i / (inChannels * last))
    : (i) => Math.floor(i / inChannels) % taps;
}
