/** The low-bit weights of a layer, encoded so that its outputs suffer least. */

import { decodeMatrix } from '../../../quantization/formats/decode';
import { encodeMatrix } from '../../../quantization/formats/encode';
import type { Hessian } from '../../../quantization/formats/error-feedback';
import type { FormatName, LowBitMatrix } from '../../../quantization/formats/format';
import { type Rotation, rotateRows } from '../../../quantization/hadamard';
import { SignalToNoise } from '../../../quantization/metrics';
import type { Observations } from '../../../quantization/observations';
import { observedKey } from '../../../quantization/observations';
import { type LinearOp, weightsPerChannel } from '../../linear-op';
import { inputChannel, inputChannels, reorder } from './filter-order';

/** The weights of a layer, ready for a program. */
export interface EncodedLayer {
  /** Output channels by inputs in the program's order, rotated where there is a rotation. */
  readonly matrix: LowBitMatrix;
  /** Of the layer's input, in the program. */
  readonly rotation?: Rotation;
  /** Signal-to-noise of the encoded weights, in dB. */
  readonly signalToNoise: number;
}

/** A format that a layer's weights are encoded in. */
export interface LayerFormat {
  readonly format: FormatName;
  readonly group: number;
  /** Of the layer's input. */
  readonly rotation?: Rotation;
}

/** Statistics of a layer's input over the calibration data. */
export interface InputStatistics {
  /** Mean square of every channel of the input as the weights multiply it. */
  readonly meanSquares?: Float64Array;
  /** Second moments E[x x^T] of the inputs of one output. */
  readonly hessian?: Hessian;
}

export function statisticsOf(op: LinearOp, rotation: Rotation | undefined, observations: Observations) {
  return { meanSquares: observations.meanSquares?.get(observedKey({ ref: op.input, rotation })) };
}

/** Rows of weights in the program's order, [...][... in], with the channels rotated. */
function rotateChannels(op: LinearOp, values: Float32Array, rotation: Rotation | undefined): Float32Array {
  if (!rotation) return values;
  const channels = inputChannels(op);
  return rotateRows(values, values.length / channels, channels, rotation);
}

/** The weights in the program's order, [out][... in], with the channels rotated. */
export function rotatedWeights(op: LinearOp, rotation: Rotation | undefined): Float32Array {
  return rotateChannels(op, reorder(op), rotation);
}

/** Mean square of the input that each weight of a row multiplies; undefined where it is unknown or all zero. */
function importanceOf(op: LinearOp, depth: number, meanSquares: Float64Array | undefined) {
  if (!meanSquares?.some((square) => square > 0)) return undefined;
  const channel = inputChannel(op);
  return Float64Array.from({ length: depth }, (_, k) => meanSquares[channel(k)]);
}

export function encodeLayer(
  op: LinearOp,
  { format, group, rotation }: LayerFormat,
  { meanSquares, hessian }: InputStatistics,
): EncodedLayer {
  const weights = rotatedWeights(op, rotation);
  const depth = weights.length / op.channels;
  const matrix = encodeMatrix(format, weights, op.channels, depth, {
    group,
    importance: importanceOf(op, depth, meanSquares),
    ...(hessian && { hessian }),
  });
  const noise = new SignalToNoise();
  noise.add(weights, decodeMatrix(matrix));
  return { matrix, ...(rotation && { rotation }), signalToNoise: noise.decibels };
}

/** Rows that a rotation is tried on, evenly spread. */
const SAMPLED_ROWS = 64;

/** Whether a rotation lowers the squared error of a layer's weights, with equal importance of all inputs. */
export function rotationHelps(op: LinearOp, { rotation, ...format }: LayerFormat): boolean {
  const depth = weightsPerChannel(op);
  const step = Math.max(1, Math.ceil(op.channels / SAMPLED_ROWS));
  const rows = Math.ceil(op.channels / step);
  const weights = reorder(op);
  const sampled = new Float32Array(rows * depth);
  for (let row = 0; row < rows; row++)
    sampled.set(weights.subarray(row * step * depth, (row * step + 1) * depth), row * depth);
  const error = (values: Float32Array) => {
    const decoded = decodeMatrix(encodeMatrix(format.format, values, rows, depth, { group: format.group }));
    return values.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0);
  };
  return error(rotateChannels(op, sampled, rotation)) < error(sampled);
}
