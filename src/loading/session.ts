/** A model, float or converted, loaded for evaluation on the current backend. */
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { parseDType, parseShape } from '../graph/attrs';
import { toModelArtifacts } from '../graph/encode-graph-model';
import type { DenseTensor, Sample } from '../graph/ir';
import { isResource, parseRef } from '../graph/read-graph-model';
import { isLayersModel } from '../graph/read-layers-model';
import { readModel, readModelJson } from '../graph/read-model';
import type { InputSpec, Output } from '../graph/samples';
import type { MixtureOfExperts } from '../moe/mixture';
import { expertsOf } from '../moe/model-experts';
import { fallBackToCpu } from '../tfjs/backends';
import { GraphRunner } from '../tfjs/graph-runner';
import { type FileSystemOptions, fileSystem } from './file-system';
import { releaseArtifacts } from './release-artifacts';

/** A model that is loaded as often as a backend asks for it. */
interface Source {
  /** An operation of each node, by its name. */
  readonly ops: ReadonlyMap<string, string>;
  load(): Promise<GraphModel>;
}

/** A layers model runs as the graph that is read from it. */
async function sourceOf(location: string, options: FileSystemOptions): Promise<Source> {
  const json = await readModelJson(location);
  if (isLayersModel(json)) {
    const graph = await readModel(location);
    const ops = new Map([...graph.nodes.values()].map(({ name, op }) => [name, op]));
    return { ops, load: () => loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph))) };
  }
  const { node = [] } = (json.modelTopology ?? {}) as { node?: { name: string; op: string }[] };
  const load = async () => {
    const model = await loadGraphModel(fileSystem(location, options) as unknown as string);
    // Nobody saves it.
    releaseArtifacts(model);
    return model;
  };
  return { ops: new Map(node.map(({ name, op }) => [name, op])), load };
}

interface SignatureInput {
  name?: string;
  dtype?: string;
  tensorShape?: unknown;
}

/** What samples are to hold: all that somebody feeds, by the names of the signature where there is one. */
function inputsOf({ inputs, modelSignature }: GraphModel, ops: Source['ops']): InputSpec[] {
  const declared = new Map(inputs.map((input) => [input.name, input]));
  const spec = (name: string, node: string, entry: SignatureInput): InputSpec => ({
    name,
    dtype: parseDType(entry.dtype) ?? (declared.get(node)?.dtype as InputSpec['dtype']) ?? 'float32',
    shape: parseShape(entry.tensorShape) ?? declared.get(node)?.shape,
    ...(ops.get(node) === 'PlaceholderWithDefault' && { optional: true }),
  });
  const { inputs: named = {} } = (modelSignature ?? {}) as { inputs?: Record<string, SignatureInput> };
  const entries = Object.entries(named);
  if (entries.length === 0) return inputs.map(({ name }) => spec(name, name, {}));
  return entries.flatMap(([name, entry]) => {
    const node = parseRef(entry.name ?? name).node;
    // Tables are not fed, and a converter cuts off what no node reads.
    return isResource({ ...entry }) || !ops.has(node) ? [] : [spec(name, node, entry)];
  });
}

export class ModelSession {
  readonly inputs: readonly InputSpec[];
  readonly outputNames: readonly string[];

  private constructor(
    readonly location: string,
    private readonly source: Source,
    private runner: GraphRunner,
  ) {
    const { model } = runner;
    const { outputs = {} } = (model.modelSignature ?? {}) as { outputs?: Record<string, unknown> };
    const names = Object.keys(outputs);
    this.inputs = inputsOf(model, source.ops);
    this.outputNames = names.length > 0 ? names : model.outputNodes;
  }

  /** @throws LowbitError of the file loader, or of the reader of layers models */
  static async load(location: string, options: FileSystemOptions = {}): Promise<ModelSession> {
    const source = await sourceOf(location, options);
    return new ModelSession(location, source, new GraphRunner(await source.load(), source.ops.values()));
  }

  /** The open experts of a converted model; undefined if it has none. */
  get experts(): MixtureOfExperts | undefined {
    return expertsOf(this.runner.model);
  }

  /** Copies a sample into tensors of the current backend. */
  feed(sample: Sample): tf.NamedTensorMap {
    return Object.fromEntries(
      this.inputs.flatMap(({ name, optional }) => {
        const data: DenseTensor | undefined = sample[name];
        if (data === undefined && optional) return [];
        if (data === undefined) {
          throw new LowbitError('invalid-argument', `The samples have no tensor for input '${name}'.`);
        }
        return [[name, tf.tensor(data.values, [...data.shape], data.dtype)]];
      }),
    );
  }

  /**
   * Runs the model and reads its outputs, but for those that are strings.
   *
   * On the WebAssembly backend, what that cannot run goes to the plain JavaScript one, and stays there.
   */
  async execute(feeds: tf.NamedTensorMap): Promise<Output[]> {
    const results = await this.run(feeds);
    const outputs = results.flatMap((tensor, i) => {
      if (tensor.dtype === 'string') return [];
      const values = tensor.dataSync() as Float32Array;
      return [{ name: this.outputNames[i], shape: tensor.shape, values }];
    });
    tf.dispose(results);
    return outputs;
  }

  private async run(feeds: tf.NamedTensorMap): Promise<tf.Tensor[]> {
    try {
      return await this.runner.run(feeds, this.outputNames);
    } catch (error) {
      if (error instanceof LowbitError || !(await fallBackToCpu())) throw error;
      // A run that breaks off leaves lists and tensors of the model half disposed.
      this.runner.dispose();
      this.runner = new GraphRunner(await this.source.load(), this.source.ops.values());
      return this.runner.run(feeds, this.outputNames);
    }
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
