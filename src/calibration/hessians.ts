/**
 * Second moments of what layers multiply: H = mean of x x^T over the calibration data, one matrix a layer, for encoders
 * that feed the error of a weight back into the others (Frantar et al. 2022, "GPTQ").
 *
 * A matrix has depth^2 numbers, so layers are taken in groups that fit in memory together, with a pass over the data for
 * each group. Layers whose matrix does not fit get none.
 */
import * as tf from '@tensorflow/tfjs-core';
import { inGroups } from '../base/in-groups';
import { refKey } from '../graph/edit';
import type { Graph, TensorRef } from '../graph/ir';
import { firstSamples, type SampleSource } from '../graph/samples';
import { copiesKey } from '../graph/turns';
import { constantBytes } from '../graph/weights';
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

/** Layers with more numbers an output get no matrix: it would take too much time. */
const MAX_INPUTS = 4096;

/** Up to this many bytes of weights, a conversion may take much more memory than these. */
const SMALL_BYTES = 2 ** 26;

const ROOM_OF_SMALL = 2 ** 29;

/** Bytes that the matrices of layers that are measured together, and the factors of one, may take. */
function roomOf({ constants }: Graph): number {
  const bytes = [...constants.values()].reduce((sum, constant) => sum + constantBytes(constant), 0);
  return bytes <= SMALL_BYTES ? ROOM_OF_SMALL : Math.max(SMALL_BYTES, bytes / 2);
}

/** Of the matrix in float32, and of its factors in float64. */
const matrixBytes = (depth: number) => 12 * depth ** 2;

/** Whether layers of a graph get a matrix, by the numbers that an output is made of. */
export function measurable(graph: Graph): (depth: number) => boolean {
  const room = roomOf(graph);
  return (depth) => depth <= MAX_INPUTS && matrixBytes(depth) <= room;
}

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

/** Columns of the matrix that are computed together. */
const PANEL = 256;

/** Adds x^T x of some rows to the upper triangle of sums. */
function addSquares(sums: Float32Array, rows: Float32Array, depth: number): void {
  const count = rows.length / depth;
  for (let first = 0; first < depth; first += PANEL) {
    const [height, width] = [Math.min(PANEL, depth - first), depth - first];
    // Transposed here: TF.js's WebAssembly backend multiplies a transposed matrix ten times more slowly.
    const left = new Float32Array(height * count);
    const right = new Float32Array(count * width);
    for (let row = 0; row < count; row++) {
      for (let i = 0; i < height; i++) left[i * count + row] = rows[row * depth + first + i];
      right.set(rows.subarray(row * depth + first, (row + 1) * depth), row * width);
    }
    // Not out of a tidy: that walks every element of what it returns.
    const factors = [tf.tensor2d(left, [height, count]), tf.tensor2d(right, [count, width])] as const;
    const squares = tf.matMul(...factors);
    const product = squares.dataSync();
    tf.dispose([...factors, squares]);
    for (let i = 0; i < height; i++) {
      const at = (first + i) * depth + first;
      for (let j = i; j < width; j++) sums[at + j] += product[i * width + j];
    }
  }
}

/** Rows that are multiplied together: for each product, all of the matrix is added to. */
function rowsAtATime(depth: number): number {
  return Math.min(MAX_ROWS, Math.max(64, depth >> 2));
}

/** Memory that is used again: what was let go of is freed much later than the next group needs its own. */
class Buffers {
  private readonly free: Float32Array[] = [];

  take(length: number): Float32Array {
    const fitting = this.free.findIndex((buffer) => buffer.length === length);
    return fitting < 0 ? new Float32Array(length) : this.free.splice(fitting, 1)[0].fill(0);
  }

  giveBack(...buffers: readonly Float32Array[]): void {
    this.free.push(...buffers);
  }
}

class Moments {
  private readonly sums: Float32Array;
  private readonly waiting: Float32Array;
  private waitingRows = 0;
  private rows = 0;

  constructor(
    private readonly layer: LayerInput,
    private readonly buffers: Buffers,
  ) {
    this.sums = buffers.take(layer.depth ** 2);
    this.waiting = buffers.take(rowsAtATime(layer.depth) * layer.depth);
  }

  add(tensor: tf.Tensor): void {
    const { depth, rotation } = this.layer;
    const values = withoutInfinities(tensor.dataSync() as Float32Array);
    const channels = tensor.shape.at(-1)!;
    const turned = rotation ? rotateRows(values, values.length / channels, channels, rotation) : values;
    const worth = this.rows < ROWS_A_DEPTH * depth ? MAX_ROWS : FEW_ROWS;
    const most = Math.max(worth, Math.floor(CHEAP_MACS / depth ** 2));
    const rows = rowsOf(turned, tensor.shape, this.layer, most);
    this.rows += rows.length / depth;
    const room = this.waiting.length / depth;
    for (let row = 0; row * depth < rows.length; ) {
      const end = Math.min(rows.length / depth, row + room - this.waitingRows);
      this.waiting.set(rows.subarray(row * depth, end * depth), this.waitingRows * depth);
      this.waitingRows += end - row;
      row = end;
      if (this.waitingRows === room) this.flush();
    }
  }

  private flush(): void {
    const { depth } = this.layer;
    if (this.waitingRows > 0)
      addSquares(this.sums, this.waiting.subarray(0, this.waitingRows * depth), depth);
    this.waitingRows = 0;
  }

  means(): Float32Array {
    this.flush();
    const { depth } = this.layer;
    for (let i = 0; i < depth; i++) {
      for (let j = i; j < depth; j++) {
        const mean = this.sums[i * depth + j] / Math.max(this.rows, 1);
        this.sums[i * depth + j] = mean;
        this.sums[j * depth + i] = mean;
      }
    }
    return this.sums;
  }

  /** What `means` gave is not to be used any more. */
  release(): void {
    this.buffers.giveBack(this.sums, this.waiting);
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
  buffers: Buffers,
): Promise<Moments[]> {
  const moments = group.map(([layer]) => new Moments(layer, buffers));
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
  visit: (name: string, hessian: Float32Array | undefined) => void,
): Promise<void> {
  let done = 0;
  const give = (name: string, hessian: Float32Array | undefined) => {
    visit(name, hessian);
    options.onProgress?.(++done, layers.length);
  };
  const isMeasurable = measurable(graph);
  const measured = layers.filter(({ depth }) => isMeasurable(depth));
  for (const { name, depth } of layers) if (!isMeasurable(depth)) give(name, undefined);
  if (measured.length === 0) return;
  await withBackend(await importBackend(), async () => {
    const buffers = new Buffers();
    const bytes = ([{ depth }]: readonly LayerInput[]) => 4 * depth * (depth + rowsAtATime(depth));
    for (const group of inGroups(alike(graph, measured), roomOf(graph) / 2, bytes)) {
      const moments = await measureGroup(graph, group, source, options, buffers);
      for (const [i, same] of group.entries()) {
        const hessian = moments[i].means();
        for (const { name } of same) give(name, hessian);
        moments[i].release();
      }
    }
  });
}
