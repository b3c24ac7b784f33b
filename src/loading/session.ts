/** A model, float or converted, loaded for evaluation on the current backend. */
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import type { DenseTensor, Sample } from '../graph/ir';
import { isLayersModel } from '../graph/read-layers-model';
import { readModel, readModelJson } from '../graph/read-model';
import type { InputSpec, Output } from '../graph/samples';
import { toModelArtifacts } from '../graph/write-graph-model';
import type { MixtureOfExperts } from '../moe/mixture';
import { expertsOf } from '../moe/model-experts';
import { GraphRunner } from '../tfjs/graph-runner';
import { type FileSystemOptions, fileSystem } from './file-system';

interface Signature {
  inputs?: Record<string, { dtype?: string; tensorShape?: { dim?: { size: string }[] } }>;
  outputs?: Record<string, unknown>;
}

interface Loader {
  handler: tf.io.IOHandler;
  /** Of the model's nodes. */
  ops: readonly string[];
}

/** A layers model runs as the graph that is read from it. */
async function loaderOf(location: string, options: FileSystemOptions): Promise<Loader> {
  const json = await readModelJson(location);
  if (isLayersModel(json)) {
    const graph = await readModel(location);
    const ops = [...graph.nodes.values()].map(({ op }) => op);
    return { handler: tf.io.fromMemory(toModelArtifacts(graph)), ops };
  }
  const { node = [] } = (json.modelTopology ?? {}) as { node?: { op: string }[] };
  return { handler: fileSystem(location, options), ops: node.map(({ op }) => op) };
}

export class ModelSession {
  private constructor(
    readonly location: string,
    private readonly runner: GraphRunner,
    readonly inputs: readonly InputSpec[],
    readonly outputNames: readonly string[],
  ) {}

  /** @throws LowbitError of the file loader, or of the reader of layers models */
  static async load(location: string, options: FileSystemOptions = {}): Promise<ModelSession> {
    const { handler, ops } = await loaderOf(location, options);
    const model = await loadGraphModel(handler as unknown as string);
    const signature = (model.modelSignature ?? {}) as Signature;
    const shapes = new Map(model.inputs.map(({ name, shape }) => [name, shape]));
    const names = Object.keys(signature.inputs ?? {});
    const inputs = (names.length > 0 ? names : model.inputNodes).map((name, i): InputSpec => {
      const dims = signature.inputs?.[name]?.tensorShape?.dim;
      const shape = dims?.map(({ size }) => Number(size)) ?? shapes.get(name) ?? model.inputs[i]?.shape;
      return { name, dtype: (model.inputs[i]?.dtype ?? 'float32') as InputSpec['dtype'], shape };
    });
    const outputs = Object.keys(signature.outputs ?? {});
    const outputNames = outputs.length > 0 ? outputs : model.outputNodes;
    return new ModelSession(location, new GraphRunner(model, ops), inputs, outputNames);
  }

  /** The open experts of a converted model; undefined if it has none. */
  get experts(): MixtureOfExperts | undefined {
    return expertsOf(this.runner.model);
  }

  /** Copies a sample into tensors of the current backend. */
  feed(sample: Sample): tf.NamedTensorMap {
    return Object.fromEntries(
      this.inputs.map(({ name }) => {
        const data: DenseTensor | undefined = sample[name];
        if (data === undefined) {
          throw new LowbitError('invalid-argument', `The samples have no tensor for input '${name}'.`);
        }
        return [name, tf.tensor(data.values, [...data.shape], data.dtype)];
      }),
    );
  }

  /** Runs the model and reads its outputs. */
  async execute(feeds: tf.NamedTensorMap): Promise<Output[]> {
    const results = await this.runner.run(feeds, this.outputNames);
    return results.map((tensor, i) => {
      const values = tensor.dataSync() as Float32Array;
      tensor.dispose();
      return { name: this.outputNames[i], shape: tensor.shape, values };
    });
  }

  async predict(sample: Sample): Promise<Output[]> {
    const feeds = this.feed(sample);
    try {
      return await this.execute(feeds);
    } finally {
      tf.dispose(feeds);
    }
  }

  dispose(): void {
    this.runner.dispose();
  }
}
