/** The order of weights in a program: [out, h, w, in], [h, w, in * multiplier] or [out, in]. */
import { piecesOf } from '../../../graph/stored-constants';
import { filterChannel, type LinearOp, weightsPerChannel } from '../../linear-op';

type Filter = Pick<LinearOp, 'kind' | 'filter' | 'transposed' | 'channels'>;

function inOrder(op: Filter, roomOf: (length: number) => Float32Array): Float32Array {
  if (op.kind === 'depthwise' || op.transposed) return op.filter.values as Float32Array;
  const { channels } = op;
  const perChannel = weightsPerChannel(op);
  const reordered = roomOf(perChannel * channels);
  for (const { start, values } of piecesOf(op.filter)) {
    for (let channel = 0; channel < channels; channel++) {
      let row = Math.ceil((start - channel) / channels);
      for (let i = row * channels + channel - start; i < values.length; i += channels)
        reordered[channel * perChannel + row++] = values[i];
    }
  }
  return reordered;
}

/** The filter in the program's order. */
export function reorder(op: Filter): Float32Array {
  return inOrder(op, (length) => new Float32Array(length));
}

/** Used again as long as it is not collected, which may be long after it is let go of. */
let used: WeakRef<Float32Array> | undefined;

function usedAgain(length: number): Float32Array {
  const before = used?.deref();
  const buffer = before && before.length >= length ? before : new Float32Array(length);
  used = new WeakRef(buffer);
  return buffer.subarray(0, length);
}

/** The same, in memory that the next call uses again. */
export function reorderForNow(op: Filter): Float32Array {
  return inOrder(op, usedAgain);
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

/** The input channel that each element of the filter multiplies, by flat index. */
export function inputChannelOf(op: LinearOp): (i: number) => number {
  const [, columns, inChannels, last] = op.filter.shape;
  if (op.kind !== 'matmul') return (i) => Math.floor(i / last) % inChannels;
  return op.transposed ? (i) => i % columns : (i) => Math.floor(i / columns);
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
