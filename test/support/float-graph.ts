/** Small float graphs built in memory, and what TF.js computes with them. */
import '@tensorflow/tfjs-backend-cpu';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { attr, shapeToJson } from '../../src/graph/attrs';
import { refKey, topologicalOrder } from '../../src/graph/edit';
import { toModelArtifacts } from '../../src/graph/encode-graph-model';
import type { Constant, Graph, GraphNode, RawAttr, SignatureEntry, TensorRef } from '../../src/graph/ir';
import { parseRef } from '../../src/graph/read-graph-model';
import { repairBackend } from '../../src/tfjs/kernel-repairs';
import type { Random } from './random';

type Shape = readonly number[];

/** Attributes of a convolution or a pool. */
export function windowAttrs(
  options: { strides?: number; padding?: string; pads?: number[]; ksize?: number } = {},
) {
  const { strides = 1, padding = 'SAME', pads, ksize } = options;
  return {
    T: attr.dtype('float32'),
    strides: attr.ints([1, strides, strides, 1]),
    dilations: attr.ints([1, 1, 1, 1]),
    padding: attr.string(padding),
    data_format: attr.string('NHWC'),
    ...(pads && { explicit_paddings: attr.ints(pads) }),
    ...(ksize && { ksize: attr.ints([1, ksize, ksize, 1]) }),
  };
}

export function fusedAttrs(fused: string[]): Record<string, RawAttr> {
  return { fused_ops: attr.strings(fused), num_args: attr.int(1) };
}

export class FloatGraph {
  private readonly nodes = new Map<string, GraphNode>();
  private readonly constants = new Map<string, Constant>();
  private readonly inputs: SignatureEntry[] = [];

  constructor(private readonly random: Random) {}

  input(name: string, shape: Shape): this {
    const attrs = { dtype: attr.dtype('float32'), shape: { shape: shapeToJson(shape) } };
    this.nodes.set(name, { name, op: 'Placeholder', inputs: [], attrs });
    this.inputs.push({ name, ref: { node: name, index: 0 }, dtype: 'float32', shape });
    return this;
  }

  constant(
    name: string,
    shape: Shape,
    values: ArrayLike<number>,
    dtype: 'float32' | 'int32' = 'float32',
  ): this {
    const typed = dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values);
    this.constants.set(name, { dtype, shape, values: typed });
    this.nodes.set(name, { name, op: 'Const', inputs: [], attrs: { dtype: attr.dtype(dtype) } });
    return this;
  }

  /** A float32 constant of random values. */
  weights(name: string, shape: Shape, min = -1, max = 1): this {
    const count = shape.reduce((p, d) => p * d, 1);
    return this.constant(
      name,
      shape,
      Array.from({ length: count }, () => this.random.real(min, max)),
    );
  }

  node(name: string, op: string, inputs: readonly string[], attrs: Record<string, RawAttr> = {}): this {
    this.nodes.set(name, { name, op, inputs: inputs.map(parseRef), attrs });
    return this;
  }

  build(...outputs: string[]): Graph {
    return {
      nodes: topologicalOrder(this.nodes),
      constants: this.constants,
      inputs: this.inputs,
      outputs: outputs.map((name) => ({ name, ref: parseRef(name), dtype: 'float32' as const })),
      source: {},
    };
  }
}

export function ops(graph: Graph): string[] {
  return [...graph.nodes.values()].map((n) => n.op).filter((op) => op !== 'Const' && op !== 'Placeholder');
}

/** Random values for every input of a graph; a dynamic batch is 2. */
export function drawFeeds(
  graph: Graph,
  random: Random,
): Record<string, { shape: number[]; values: Float32Array }> {
  return Object.fromEntries(
    graph.inputs.map(({ ref, shape = [] }) => {
      const fixed = shape.map((d) => (d < 0 ? 2 : d));
      const count = fixed.reduce((p, d) => p * d, 1);
      return [
        ref.node,
        { shape: fixed, values: Float32Array.from({ length: count }, () => random.real(-2, 2)) },
      ];
    }),
  );
}

/** What TF.js computes for the outputs (or other tensors) of a graph on its backend `cpu`. */
export async function execute(
  graph: Graph,
  feeds: ReturnType<typeof drawFeeds>,
  refs: readonly TensorRef[] = graph.outputs.map((o) => o.ref),
): Promise<{ shape: number[]; values: Float32Array }[]> {
  await tf.setBackend('cpu');
  repairBackend('cpu');
  const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph)));
  try {
    return tf.tidy(() => {
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, f]) => [name, tf.tensor(f.values, f.shape)]),
      );
      const results = [model.execute(tensors, refs.map(refKey))].flat();
      return results.map((t) => ({ shape: t.shape, values: t.dataSync().slice() as Float32Array }));
    });
  } finally {
    model.dispose();
  }
}

/** Expects two graphs to compute the same, to 1e-5 of the largest value. */
export async function expectSameFunction(before: Graph, after: Graph, random: Random): Promise<void> {
  const feeds = drawFeeds(before, random);
  const [expected, received] = [await execute(before, feeds), await execute(after, feeds)];
  expect(received.map((r) => r.shape)).toEqual(expected.map((e) => e.shape));
  expected.forEach(({ values }, output) => {
    const largest = values.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
    const error = values.reduce((m, v, i) => Math.max(m, Math.abs(v - received[output].values[i])), 0);
    expect(error / largest).toBeLessThan(1e-5);
  });
}
