/**
 * Second moments of what layers multiply: H = mean of x x^T over the calibration data, one matrix a layer, for encoders
 * that feed the error of a weight back into the others (Frantar et al. 2022, "GPTQ").
 *
 * A matrix has depth^2 numbers, so layers are taken in groups that fit in memory together, with a pass over the data for
 * each group.
 */
import * as tf from '@tensorflow/tfjs-core';
import { inGroups } from '../base/in-groups';
import { refKey } from '../graph/edit';
import type { Graph, TensorRef } from '../graph/ir';
import { firstSamples, type SampleSource } from '../graph/samples';
import { copiesKey } from '../graph/turns';
import type { Window } from '../program/program';
import { resolveWindow } from '../program/window';
import { type Rotation, rotateRows } from '../quantization/hadamard';
import { importBackend, withBackend } from '../tfjs/backends';
import { runSamples } from '../tfjs/run-samples';
import { withoutInfinities } from './infinities';

/** What a layer multiplies its weights by. */
export interface LayerInput {
  readonly name: string;
  readonly ref: TensorRef;
  /** Numbers that one output is made of. */
  readonly depth: number;
  /** Of the channels of the input. */
  readonly rotation?: Rotation;
  /** Of a convolution; absent for a matrix product. */
  readonly window?: Window;
}

export interface HessianOptions {
  /** How many samples to use at most. */
  samples: number;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

/**
 * Layers with more numbers an output get no matrix: 2^13 x 2^13 float64 are half a gigabyte, and the encoder needs some
 * of them.
 */
export const MAX_INPUTS = 4096;

const BYTES_AT_A_TIME = 2 ** 29;

/** Rows of one sample that are counted at most, evenly spread: neighbours are nearly the same. */
export const MAX_ROWS = 512;

/** The same once there are `ROWS_A_DEPTH` times as many rows as a row has values: more would add little information for their time. */
const FEW_ROWS = 32;
const ROWS_A_DEPTH = 16;

/** Rows of one sample that cost no more multiply-accumulates than this are all counted: short ones are cheap. */
const CHEAP_MACS = 2 ** 24;

/** Rows of `depth` values out of an activation: its own rows, or the patches under a window, every `step`-th. */
function rowsOf(
  values: Float32Array,
  shape: readonly number[],
  { depth, window }: LayerInput,
  most: number,
): Float32Array {
  const channels = shape.at(-1)!;
  const [height, width] = window ? shape.slice(1) : [1, 1];
  const axes = window && resolveWindow(height, width, window);
  const out = axes ? axes.rows.out * axes.columns.out : 1;
  const count = (axes ? shape[0] : values.length / channels) * out;
  const step = Math.max(1, Math.ceil(count / most));
  const rows = new Float32Array(Math.ceil(count / step) * depth);
  for (let row = 0; row * step < count; row++) {
    const at = row * step;
    if (!axes) {
      rows.set(values.subarray(at * channels, (at + 1) * channels), row * depth);
      continue;
    }
    const { kernel, strides, dilations = [1, 1] } = window!;
    const top = Math.floor((at % out) / axes.columns.out) * strides[0] - axes.rows.before;
    const left = (at % axes.columns.out) * strides[1] - axes.columns.before;
    for (let tap = 0; tap < kernel[0] * kernel[1]; tap++) {
      const y = top + Math.floor(tap / kernel[1]) * dilations[0];
      const x = left + (tap % kernel[1]) * dilations[1];
      if (y < 0 || y >= height || x < 0 || x >= width) continue;
      const from = ((Math.floor(at / out) * height + y) * width + x) * channels;
      rows.set(values.subarray(from, from + channels), row * depth + tap * channels);
    }
  }
  return rows;
}

class Moments {
  private readonly sums: Float64Array;
  private rows = 0;

  constructor(private readonly layer: LayerInput) {
    this.sums = new Float64Array(layer.depth ** 2);
  }

  add(tensor: tf.Tensor): void {
    const { depth, rotation } = this.layer;
    const values = withoutInfinities(tensor.dataSync() as Float32Array);
    const channels = tensor.shape.at(-1)!;
    const turned = rotation ? rotateRows(values, values.length / channels, channels, rotation) : values;
    const worth = this.rows < ROWS_A_DEPTH * depth ? MAX_ROWS : FEW_ROWS;
    const most = Math.max(worth, Math.floor(CHEAP_MACS / depth ** 2));
    const rows = rowsOf(turned, tensor.shape, this.layer, most);
    // Not out of a tidy: that walks every element of what it returns.
    const x = tf.tensor2d(rows, [rows.length / depth, depth]);
    const squares = tf.matMul(x, x, true, false);
    const product = squares.dataSync();
    tf.dispose([x, squares]);
    for (let i = 0; i < product.length; i++) this.sums[i] += product[i];
    this.rows += rows.length / depth;
  }

  means(): Float64Array {
    for (let i = 0; i < this.sums.length; i++) this.sums[i] /= Math.max(this.rows, 1);
    return this.sums;
  }
}

/**
 * Layers that multiply the same, as those of queries, keys and values do, or the same at another turn of a loop; one matrix
 * serves them all.
 */
function alike(graph: Graph, layers: readonly LayerInput[]): LayerInput[][] {
  const found = new Map<string, LayerInput[]>();
  for (const layer of layers) {
    const key = JSON.stringify([copiesKey(graph, layer.ref), layer.rotation, layer.depth, layer.window]);
    const same = found.get(key);
    if (same) same.push(layer);
    else found.set(key, [layer]);
  }
  return [...found.values()];
}

async function measureGroup(
  graph: Graph,
  group: readonly (readonly LayerInput[])[],
  source: SampleSource,
  { samples, signal }: HessianOptions,
): Promise<Moments[]> {
  const moments = group.map(([layer]) => new Moments(layer));
  const refs = [...new Map(group.flat().map(({ ref }) => [refKey(ref), ref])).values()];
  const readers = group.map((same) => new Set(same.map(({ ref }) => refKey(ref))));
  const add = (tensor: tf.Tensor, i: number) => {
    const key = refKey(refs[i]);
    readers.forEach((read, g) => {
      if (read.has(key)) moments[g].add(tensor);
    });
  };
  await runSamples(graph, firstSamples(source(graph.inputs), samples), refs, add, signal);
  return moments;
}

/**
 * Measures the second moments of what layers multiply, and hands them over one after the other, those of layers that
 * multiply the same tensor together.
 *
 * @param visit takes a layer's matrix [depth, depth], which is not kept; it is not to be changed. Undefined for a layer
 *   of more than `MAX_INPUTS` inputs
 */
export async function measureHessians(
  graph: Graph,
  layers: readonly LayerInput[],
  source: SampleSource,
  options: HessianOptions,
  visit: (name: string, hessian: Float64Array | undefined) => void,
): Promise<void> {
  let done = 0;
  const give = (name: string, hessian: Float64Array | undefined) => {
    visit(name, hessian);
    options.onProgress?.(++done, layers.length);
  };
  const measured = layers.filter(({ depth }) => depth <= MAX_INPUTS);
  for (const { name, depth } of layers) if (depth > MAX_INPUTS) give(name, undefined);
  if (measured.length === 0) return;
  await withBackend(await importBackend(), async () => {
    for (const group of inGroups(alike(graph, measured), BYTES_AT_A_TIME, ([{ depth }]) => 8 * depth ** 2)) {
      const moments = await measureGroup(graph, group, source, options);
      for (const [i, same] of group.entries()) {
        const hessian = moments[i].means();
        for (const { name } of same) give(name, hessian);
      }
    }
  });
}
