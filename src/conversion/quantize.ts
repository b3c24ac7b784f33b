/** Quantization of a model in memory, for programs that have one already. */
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { codedError, withCode } from '../base/coded-errors';
import { checkArgument, LowbitError } from '../base/errors';
import { byName, type ModelInput, type TensorData, tensorSamples } from '../calibration/data/tensors';
import { refKey } from '../graph/edit';
import { toModelArtifacts, toSavedArtifacts } from '../graph/encode-graph-model';
import type { DType, Graph, SignatureEntry } from '../graph/ir';
import { readModelArtifacts } from '../graph/read-artifacts';
import { ready } from '../runtime/current-engine';
import { decideConversion } from './convert-graph';
import type { QuantizationOptions } from './options/options';
import { settle } from './options/settle';
import type { QuantizationReport } from './report-types';
import { check } from './stages/check';
import { lower } from './stages/lower/lower';

/** What a tf.LayersModel and a tf.GraphModel have in common. */
export interface FloatModel {
  save(handler: tf.io.IOHandler): Promise<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: the types of either model
  predict(inputs: any, ...more: any[]): any;
}

export interface ModelTensor {
  /** The layer's name, or the signature's. */
  readonly name: string;
  readonly dtype: DType;
  /** null: open; undefined: unknown rank. */
  readonly shape?: readonly (number | null)[];
}

/** What TF.js refuses of a caller, in its words. */
const MISUSE = /executeAsync|not found in the graph|number of input tensors|shape of dict/;

function predictionError(error: unknown): LowbitError {
  if (error instanceof Error && !(error instanceof LowbitError) && MISUSE.test(error.message)) {
    const advice = error.message.includes('executeAsync') ? ' Use predictAsync.' : '';
    return new LowbitError('invalid-argument', `${error.message}${advice}`, { cause: error });
  }
  return codedError(error, 'Running the quantized model');
}

function describe({ name, dtype, shape }: SignatureEntry): ModelTensor {
  return { name, dtype, ...(shape && { shape: shape.map((d) => (d < 0 ? null : d)) }) };
}

/** A model in INT8, used as the one that it was made from. */
export class QuantizedModel<M extends FloatModel = FloatModel> {
  readonly inputs: readonly ModelTensor[];
  readonly outputs: readonly ModelTensor[];

  private constructor(
    private readonly graph: Graph,
    private readonly model: GraphModel,
    /** The names under which the source gives its outputs, if it names them. */
    private readonly keys: readonly string[] | undefined,
    /** What was quantized, what stays float and why. */
    readonly report: QuantizationReport,
  ) {
    this.inputs = graph.inputs.map(describe);
    this.outputs = graph.outputs.map(describe);
  }

  /** @internal */
  static async load<M extends FloatModel>(
    graph: Graph,
    report: QuantizationReport,
  ): Promise<QuantizedModel<M>> {
    const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph)));
    const metadata = graph.source.userDefinedMetadata as { structuredOutputKeys?: string[] } | undefined;
    return new QuantizedModel<M>(graph, model, metadata?.structuredOutputKeys, report);
  }

  /**
   * As the float model's `predict`, on TF.js's current backend.
   *
   * @param inputs a tensor, one for each input in order, or by the inputs' names; they stay the caller's
   * @returns a tensor, one for each output in order, or by name: as the float model does
   * @throws LowbitError 'invalid-argument' where tensors do not match the inputs, or the model has control flow;
   *   'internal' for what else fails
   */
  predict(inputs: Parameters<M['predict']>[0] | tf.NamedTensorMap): ReturnType<M['predict']> {
    return this.named(this.execute(inputs));
  }

  /** The same for models with control flow. */
  async predictAsync(
    inputs: Parameters<M['predict']>[0] | tf.NamedTensorMap,
  ): Promise<ReturnType<M['predict']>> {
    const outputs = this.graph.outputs.map(({ ref }) => refKey(ref));
    const feeds = this.feeds(inputs);
    try {
      return this.named(await this.model.executeAsync(feeds, outputs));
    } catch (error) {
      throw predictionError(error);
    }
  }

  /**
   * Computes some of the outputs, or tensors that stayed float.
   *
   * @param outputs names of outputs or of nodes; default: all outputs
   */
  execute(
    inputs: ModelInput,
    outputs: string | string[] = this.graph.outputs.map(({ name }) => name),
  ): tf.Tensor | tf.Tensor[] {
    const node = (name: string) => {
      const output = this.graph.outputs.find((entry) => entry.name === name);
      return output ? refKey(output.ref) : name;
    };
    const feeds = this.feeds(inputs);
    try {
      return this.model.execute(feeds, Array.isArray(outputs) ? outputs.map(node) : node(outputs));
    } catch (error) {
      throw predictionError(error);
    }
  }

  /**
   * Saves the model as TF.js saves models: `indexeddb://name`, `localstorage://name`, `downloads://name`, the URL of a
   * server, or a save handler. `tf.loadGraphModel` loads it from there.
   *
   * @throws LowbitError 'invalid-argument' for a URL that no handler of TF.js takes, 'io' where saving fails
   */
  async save(to: string | tf.io.IOHandler): Promise<tf.io.SaveResult> {
    const handler = typeof to === 'string' ? tf.io.getSaveHandlers(to)[0] : to;
    checkArgument(handler?.save !== undefined, 'to', 'a URL that TF.js saves to, or a save handler', to);
    try {
      return await handler.save(toSavedArtifacts(this.graph));
    } catch (cause) {
      throw new LowbitError('io', `The model cannot be saved: ${(cause as Error).message}`, { cause });
    }
  }

  dispose(): void {
    this.model.dispose();
  }

  private feeds(inputs: ModelInput): tf.NamedTensorMap {
    const names = this.graph.inputs.map(({ name }) => name);
    const tensors = byName(inputs, names);
    return Object.fromEntries(this.graph.inputs.map(({ name, ref }) => [refKey(ref), tensors[name]]));
  }

  private named(outputs: tf.Tensor | tf.Tensor[]): ReturnType<M['predict']> {
    const { keys } = this;
    return (
      keys ? Object.fromEntries([outputs].flat().map((tensor, i) => [keys[i], tensor])) : outputs
    ) as ReturnType<M['predict']>;
  }
}

async function artifactsOf(model: FloatModel): Promise<tf.io.ModelArtifacts> {
  return new Promise((resolve, reject) => {
    const handler = tf.io.withSaveHandler(async (artifacts) => {
      resolve(artifacts);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    });
    model.save(handler).catch(reject);
  });
}

/**
 * Quantizes a model in memory to INT8.
 *
 * @param model a tf.LayersModel or a tf.GraphModel; it stays as it is
 * @param data representative inputs as `predict` takes them, single or in batches: a tensor, or an array or a generator
 *   of them; for several inputs each is an array or an object of tensors. Or a source of samples, as `imageFolder`;
 *   `random`: for trying out
 * @param options as of `convert`
 * @returns a model with the same `predict`
 * @throws LowbitError 'invalid-model' for a model that cannot be read, naming the layer or the node; and as `convert`
 *
 * @example
 * const int8 = await quantizeModel(model, images);
 * const scores = int8.predict(image);
 */
export async function quantizeModel<M extends FloatModel>(
  model: M,
  data: TensorData | 'random',
  options: QuantizationOptions = {},
): Promise<QuantizedModel<M>> {
  checkArgument(
    typeof model?.save === 'function' && typeof model.predict === 'function',
    'model',
    'a tf.LayersModel or a tf.GraphModel',
    model,
  );
  const iterable = data instanceof Object && (Symbol.iterator in data || Symbol.asyncIterator in data);
  checkArgument(
    data === 'random' || data instanceof tf.Tensor || typeof data === 'function' || iterable,
    'data',
    'a tensor, or several in an array or a generator',
    data,
  );
  return withCode('Quantizing the model', async () => {
    const settings = settle(options, typeof data === 'string' ? data : tensorSamples(data));
    // A page would else wait for the engine where the models are first compared.
    await ready();
    settings.report('read', 0, 1);
    const source = await readModelArtifacts(await artifactsOf(model));
    const decision = await decideConversion(source, settings);
    const { graph, ...report } = await check(lower(decision), source, decision);
    return QuantizedModel.load<M>(graph, report);
  });
}
