/** A graph in memory, float or quantized, loaded into TF.js on the current backend. */
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { refKey } from '../graph/edit';
import type { Graph, Sample, TensorRef } from '../graph/ir';
import type { Output } from '../graph/samples';
import { toModelArtifacts } from '../graph/write-graph-model';
import { GraphRunner } from './graph-runner';

/** The outputs of a graph's signature, read back from their tensors. */
export function toOutputs(graph: Graph, tensors: readonly tf.Tensor[]): Output[] {
  return tensors.map((tensor, i) => ({
    name: graph.outputs[i].name,
    shape: tensor.shape,
    values: tensor.dataSync() as Float32Array,
  }));
}

export class LoadedGraph {
  private constructor(
    private readonly runner: GraphRunner,
    private readonly graph: Graph,
  ) {}

  static async load(graph: Graph): Promise<LoadedGraph> {
    const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph)));
    const ops = [...graph.nodes.values()].map(({ op }) => op);
    return new LoadedGraph(new GraphRunner(model, ops), graph);
  }

  /** Copies a sample into tensors of the current backend, by `node:index`. */
  feed(sample: Sample): tf.NamedTensorMap {
    return Object.fromEntries(
      this.graph.inputs.map(({ name, ref, dtype }) => {
        const { values, shape } = sample[name];
        return [refKey(ref), tf.tensor(values, [...shape], dtype)];
      }),
    );
  }

  /** Runs one sample and hands every requested tensor to `visit`. */
  async run(
    sample: Sample,
    refs: readonly TensorRef[],
    visit: (tensor: tf.Tensor, index: number) => void,
  ): Promise<void> {
    const feeds = this.feed(sample);
    let results: tf.Tensor[] = [];
    try {
      results = await this.execute(feeds, refs);
      results.forEach(visit);
    } finally {
      tf.dispose([...results, ...Object.values(feeds)]);
    }
  }

  /** Runs one sample to the outputs of the signature. */
  async predict(sample: Sample): Promise<Output[]> {
    const feeds = this.feed(sample);
    let results: tf.Tensor[] = [];
    try {
      results = await this.execute(
        feeds,
        this.graph.outputs.map((o) => o.ref),
      );
      return toOutputs(this.graph, results);
    } finally {
      tf.dispose([...results, ...Object.values(feeds)]);
    }
  }

  /**
   * Computes tensors of the graph; the caller disposes them.
   *
   * @param feeds tensors by `node:index`; what only fed tensors depend on is not computed
   */
  execute(feeds: tf.NamedTensorMap, refs: readonly TensorRef[]): Promise<tf.Tensor[]> {
    return this.runner.run(feeds, refs.map(refKey));
  }

  dispose(): void {
    this.runner.dispose();
  }
}
