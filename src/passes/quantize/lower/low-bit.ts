/** Layers with low-bit weights, as a product with a matrix [output channels, inputs]; larger windows by im2col. */

import { OpKind, PaddingMode } from '../../../program/program';
import { decodeMatrix } from '../../../quantization/formats/decode';
import { type Rotation, rotateRows } from '../../../quantization/hadamard';
import { activationBounds, type LinearOp } from '../../linear-op';
import type { EncodedLayer } from './encode-layer';
import { inputChannel, inputChannels, reorder } from './filter-order';
import { appendLowBitFilter } from './filters';
import { appendIm2col } from './im2col';
import type { ProgramBuilder } from './program-builder';
import { type Store, storeResult } from './store';
import { windowOf } from './window';

/** sum over k of share[k] * w[r, k] * means[input channel of k], for every output channel r. */
function meanOutputs(
  weights: Float32Array,
  rows: number,
  channel: (i: number) => number,
  means: Float64Array,
  share: (i: number) => number,
): Float64Array {
  const depth = weights.length / rows;
  const sums = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < depth; k++) sums[r] += share(k) * weights[r * depth + k] * means[channel(k)];
  }
  return sums;
}

type Share = (i: number) => number;

function rotated(means: Float64Array, rotation: Rotation | undefined): Float64Array {
  return rotation
    ? Float64Array.from(rotateRows(Float32Array.from(means), 1, means.length, rotation))
    : means;
}

/** bias + E[W x] - E[W_encoded x]: corrects the mean error that encoding the weights causes (see `biasCorrection`). */
function correctedBias(
  op: LinearOp,
  { matrix, rotation }: EncodedLayer,
  builder: ProgramBuilder,
  share: Share,
): Float32Array | undefined {
  const means = builder.calibrated.means(op.input);
  if (!means) return op.bias;
  const channel = inputChannel(op);
  const shifted = rotated(builder.calibrated.quantizedMeans(op.input) ?? means, rotation);
  const expected = meanOutputs(reorder(op), op.channels, channel, means, share);
  const actual = meanOutputs(decodeMatrix(matrix), op.channels, channel, shifted, share);
  return Float32Array.from(expected, (sum, c) => (op.bias?.[c] ?? 0) + sum - actual[c]);
}

/** @param share of the outputs that each weight of a row contributes to */
export function lowerLowBit(
  op: LinearOp,
  encoded: EncodedLayer,
  builder: ProgramBuilder,
  store: Store,
  share: Share = () => 1,
): void {
  const { name } = op.node;
  const { matrix, rotation, signalToNoise } = encoded;
  builder.weightFidelity.set(name, signalToNoise);
  const input = rotation
    ? builder.rotated(op.input, inputChannels(op), rotation, name)
    : builder.read(op.input);
  const filter = appendLowBitFilter(builder.weights, matrix, correctedBias(op, encoded, builder, share));
  const { output, activation } = storeResult(builder, store, activationBounds(op));
  const common = { name, output, filter, activation };
  if (op.kind === 'matmul') {
    const { depth: inFeatures, rows: outFeatures } = matrix;
    builder.op({ ...common, inputs: [input], kind: OpKind.Linear, inFeatures, outFeatures });
    return;
  }
  const window = windowOf(op.node, [op.filter.shape[0], op.filter.shape[1]]);
  if (typeof window === 'string') throw new Error(window);
  const pointwise = window.kernel.every((size) => size === 1);
  const shape = builder.shape(op.input).with(-1, inputChannels(op));
  const read = pointwise ? input : appendIm2col(builder, name, input, shape, window);
  builder.op({
    ...common,
    inputs: [read],
    kind: OpKind.Conv2D,
    inChannels: matrix.depth,
    outChannels: matrix.rows,
    groups: 1,
    window: {
      kernel: [1, 1],
      strides: pointwise ? window.strides : [1, 1],
      padding: pointwise ? window.padding : { mode: PaddingMode.Valid },
    },
  });
}
