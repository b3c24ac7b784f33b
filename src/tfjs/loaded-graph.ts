/** A graph in memory, float or quantized, loaded into TF.js on the current backend. */
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { refKey } from '../graph/edit';
import { toModelArtifacts } from '../graph/encode-graph-model';
import type { Graph, Sample, TensorRef } from '../graph/ir';
import type { Output } from '../graph/samples';
import { fallBackToCpu } from './backends';
import { withExplicitPadding } from './explicit-padding';
import { findFailingNode } from './failing-node';
import { GraphRunner } from './graph-runner';

/** The outputs of a graph's signature, read back from their tensors; those that are strings left out. */
export function toOutputs(graph: Graph, tensors: readonly tf.Tensor[]): Output[] {
  return tensors.flatMap((tensor, i) => {
    if (tensor.dtype === 'string') return [];
    const values = tensor.dataSync() as Float32Array;
    return [{ name: graph.outputs[i].name, shape: tensor.shape, values }];
  });
}

async function loadRunner(graph: Graph): Promise<GraphRunner> {
  const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(withExplicitPadding(graph))));
  return new GraphRunner(
    model,
    [...graph.nodes.values()].map(({ op }) => op),
  );
}

export class LoadedGraph {
  private constructor(
    private runner: GraphRunner,
    private readonly graph: Graph,
  ) {}

  static async load(graph: Graph): Promise<LoadedGraph> {
    return new LoadedGraph(await loadRunner(graph), graph);
  }

  /** Copies a sample into tensors of the current backend, by `node:index`. */
  feed(sample: Sample): tf.NamedTensorMap {
    return Object.fromEntries(
      this.graph.inputs.flatMap(({ name, ref, dtype, optional }) => {
        if (optional && !sample[name]) return [];
        const { values, shape } = sample[name];
        return [[refKey(ref), tf.tensor(values as tf.TensorLike, [...shape], dtype)]];
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
   * On the WebAssembly backend, what that cannot run goes to the plain JavaScript one, and stays there.
   *
   * @param feeds tensors by `node:index`; what only fed tensors depend on is not computed
   * @throws LowbitError 'internal' naming the node that TF.js cannot run
   */
  async execute(feeds: tf.NamedTensorMap, refs: readonly TensorRef[]): Promise<tf.Tensor[]> {
    const names = refs.map(refKey);
    try {
      return await this.runner.run(feeds, names);
    } catch (error) {
      if (error instanceof LowbitError) throw error;
      if (!(await fallBackToCpu())) throw await this.explained(error, feeds);
      // A run that breaks off leaves lists and tensors of the model half disposed.
      this.runner.dispose();
      this.runner = await loadRunner(this.graph);
    }
    try {
      return await this.runner.run(feeds, names);
    } catch (error) {
      throw error instanceof LowbitError ? error : await this.explained(error, feeds);
    }
  }

  /** An error of TF.js, with the node that it comes from. */
  private async explained(cause: unknown, feeds: tf.NamedTensorMap): Promise<LowbitError> {
    const node = await findFailingNode(this.graph, async (refs) => {
      tf.dispose(await this.runner.run(feeds, refs.map(refKey)));
    });
    const where = node ? `${node.op} '${node.name}'` : 'the model';
    const message = `TF.js cannot run ${where} on its backend '${tf.getBackend()}': ${(cause as Error).message}`;
    return new LowbitError('internal', message, { cause });
  }

  dispose(): void {
    this.runner.dispose();
  }
}
