/** A graph in memory, float or quantized, loaded into TF.js on the current backend. */
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { refKey } from '../graph/edit';
import type { Graph, Sample, SignatureEntry, TensorRef } from '../graph/ir';
import { toModelArtifacts } from '../graph/write-graph-model';

export class LoadedGraph {
  private constructor(
    private readonly model: GraphModel,
    private readonly inputs: readonly SignatureEntry[],
  ) {}

  static async load(graph: Graph): Promise<LoadedGraph> {
    return new LoadedGraph(await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph))), graph.inputs);
  }

  /** Copies a sample into tensors of the current backend, by `node:index`. */
  feed(sample: Sample): tf.NamedTensorMap {
    return Object.fromEntries(
      this.inputs.map(({ name, ref, dtype }) => {
        const { values, shape } = sample[name];
        return [refKey(ref), tf.tensor(values, [...shape], dtype)];
      }),
    );
  }

  /** Runs one sample and hands every asked tensor to `visit`. */
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

  /**
   * Computes tensors of the graph; the caller disposes them.
   *
   * @param feeds tensors by `node:index`; what only fed tensors depend on is not computed
   */
  async execute(feeds: tf.NamedTensorMap, refs: readonly TensorRef[]): Promise<tf.Tensor[]> {
    const names = refs.map(refKey);
    try {
      return [this.model.execute(feeds, names)].flat();
    } catch (error) {
      if (!String((error as Error).message).includes('executeAsync')) throw error;
      return [await this.model.executeAsync(feeds, names)].flat();
    }
  }

  dispose(): void {
    this.model.dispose();
  }
}
