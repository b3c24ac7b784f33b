/**
 * Second moments of what layers multiply: H = mean of x x^T over the calibration data, one matrix a layer, for encoders
 * that feed the error of a weight back into the others (Frantar et al. 2022, "GPTQ").
 *
 * A matrix has depth^2 numbers, so layers are taken in groups that fit in memory together, with a pass over the data for
 * each group.
 */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import { refKey } from '../graph/edit';
import type { Graph, TensorRef } from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import type { Window } from '../program/program';
import { resolveWindow } from '../program/window';
import { type Rotation, rotateRows } from '../quantization/hadamard';
import { observedKey } from '../quantization/observations';
import { importBackend, withBackend } from '../tfjs/backends';
import { LoadedGraph } from '../tfjs/loaded-graph';

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

/** 2^13 x 2^13 float64 are half a gigabyte, and the encoder needs some of them. */
export const MAX_INPUTS = 4096;

const BYTES_AT_A_TIME = 2 ** 29;

/** Rows of one sample that are counted at most, evenly spread: neighbours are nearly the same. */
const MAX_ROWS = 512;

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
    const values = tensor.dataSync() as Float32Array;
    const channels = tensor.shape.at(-1)!;
    const turned = rotation ? rotateRows(values, values.length / channels, channels, rotation) : values;
    const worth = this.rows < ROWS_A_DEPTH * depth ? MAX_ROWS : FEW_ROWS;
    const most = Math.max(worth, Math.floor(CHEAP_MACS / depth ** 2));
    const rows = rowsOf(turned, tensor.shape, this.layer, most);
    const product = tf.tidy(() => {
      const x = tf.tensor2d(rows, [rows.length / depth, depth]);
      return tf.matMul(x, x, true, false).dataSync();
    });
    for (let i = 0; i < product.length; i++) this.sums[i] += product[i];
    this.rows += rows.length / depth;
  }

  means(): Float64Array {
    for (let i = 0; i < this.sums.length; i++) this.sums[i] /= Math.max(this.rows, 1);
    return this.sums;
  }
}

function checkDepth({ name, depth }: LayerInput): void {
  if (depth <= MAX_INPUTS) return;
  throw new LowbitError(
    'invalid-argument',
    `Error feedback for '${name}' would need a matrix of ${depth} x ${depth} numbers, as each of its outputs is made of ` +
      `${depth} inputs; at most ${MAX_INPUTS} are supported. Convert it without error feedback, or leave the layer in INT8.`,
  );
}

/** Layers that multiply the same, as those of queries, keys and values do; one matrix serves them all. */
function alike(layers: readonly LayerInput[]): LayerInput[][] {
  const found = new Map<string, LayerInput[]>();
  for (const layer of layers) {
    const key = JSON.stringify([observedKey(layer), layer.depth, layer.window]);
    const same = found.get(key);
    if (same) same.push(layer);
    else found.set(key, [layer]);
  }
  return [...found.values()];
}

function groupsOf(inputs: readonly LayerInput[][]): LayerInput[][][] {
  const groups: LayerInput[][][] = [];
  let room = 0;
  for (const same of inputs) {
    const bytes = 8 * same[0].depth ** 2;
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = BYTES_AT_A_TIME;
    }
    groups.at(-1)!.push(same);
    room -= bytes;
  }
  return groups;
}

async function measureGroup(
  model: LoadedGraph,
  graph: Graph,
  group: readonly LayerInput[],
  source: SampleSource,
  { samples, signal }: HessianOptions,
): Promise<Moments[]> {
  const moments = group.map((layer) => new Moments(layer));
  const refs = [...new Map(group.map(({ ref }) => [refKey(ref), ref])).values()];
  let seen = 0;
  for await (const sample of source(graph.inputs)) {
    await yieldToCancel(signal);
    await model.run(sample, refs, (tensor, i) => {
      const key = refKey(refs[i]);
      group.forEach(({ ref }, g) => {
        if (refKey(ref) === key) moments[g].add(tensor);
      });
    });
    if (++seen === samples) break;
  }
  return moments;
}

/**
 * Measures the second moments of what layers multiply, and hands them over one after the other, those of layers that
 * multiply the same tensor together.
 *
 * @param visit takes a layer's matrix [depth, depth], which is not kept; it is not to be changed
 * @throws LowbitError 'invalid-argument' naming a layer of too many inputs, before anything is measured
 */
export async function measureHessians(
  graph: Graph,
  layers: readonly LayerInput[],
  source: SampleSource,
  options: HessianOptions,
  visit: (name: string, hessian: Float64Array) => void,
): Promise<void> {
  layers.forEach(checkDepth);
  let done = 0;
  await withBackend(await importBackend(), async () => {
    const model = await LoadedGraph.load(graph);
    try {
      for (const group of groupsOf(alike(layers))) {
        const inputs = group.map(([first]) => first);
        const moments = await measureGroup(model, graph, inputs, source, options);
        for (const [i, same] of group.entries()) {
          const hessian = moments[i].means();
          for (const { name } of same) {
            visit(name, hessian);
            options.onProgress?.(++done, layers.length);
          }
        }
      }
    } finally {
      model.dispose();
    }
  });
}
