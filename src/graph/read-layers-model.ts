/**
 * Reads a Keras model as TF.js stores it (`layers-model`) into the graph that it computes at inference: ordinary
 * TensorFlow ops, named after the layers, with the batch left open. What TF.js computes is the reference; an option
 * that TF.js drops silently is refused.
 */
import type { LowbitError } from '../base/errors';
import { attr } from './attrs';
import { refKey } from './edit';
import type { Constant, DType, Graph, SignatureEntry } from './ir';
import { isRecord, type Json } from './json';
import { LayerConfig } from './layers/config';
import { GraphBuilder } from './layers/graph-builder';
import { LayerCall, type ModelFacts } from './layers/layer-call';
import { LAYER_TYPES } from './layers/layer-types';
import type { LayerTensor } from './layers/layout';
import {
  type CallRef,
  firstCall,
  invalid,
  isModel,
  type LayerEntry,
  parseLayer,
  parseLayers,
  parseRefs,
} from './layers/model-topology';
import { mergeDirections } from './layers/recurrent';
import { Weights } from './layers/weights';

/** A result of the model, by the name of the layer that computes it. */
interface NamedTensor {
  readonly name: string;
  readonly tensor: LayerTensor;
}

/** A layer to call once its inputs are there. */
interface Pending {
  readonly layer: LayerEntry;
  readonly index: number;
  readonly reads: readonly CallRef[];
}

function inputShape(config: LayerConfig): number[] | undefined {
  const value = config.get('batch_input_shape') ?? config.get('batch_shape');
  if (value === undefined) return undefined;
  const valid = (d: unknown) => d === null || (Number.isSafeInteger(d) && (d as number) > 0);
  if (!Array.isArray(value) || !value.every(valid)) {
    throw config.expected('a list of positive sizes or null', 'batch_input_shape', value);
  }
  return value.map((d) => d ?? -1);
}

function inputType(config: LayerConfig): DType {
  const value = config.get('dtype') ?? 'float32';
  const name = isRecord(value) && isRecord(value.config) ? value.config.name : value;
  if (/^(float|bfloat)\d+$/.test(String(name))) return 'float32';
  if (/^u?int\d+$/.test(String(name))) return 'int32';
  if (name === 'bool') return 'bool';
  throw config.expected('a number type', 'dtype', value);
}

function configOf({ name, type, config }: LayerEntry): LayerConfig {
  return new LayerConfig(name, type, config);
}

class ModelReader {
  readonly builder = new GraphBuilder();

  /** Names of the models that what is read stands in, the outermost first. */
  private readonly path: string[] = [];
  private readonly facts: ModelFacts;

  constructor(weights: Weights, keras3: boolean) {
    const lookup: ModelFacts['lookup'] = (...of) => weights.find(this.path, ...of);
    this.facts = { lookup, keras3 };
  }

  /**
   * Reads a model into the graph.
   *
   * @param given what a nested model is called on; a model of its own gets inputs
   */
  model(entry: LayerEntry, prefix: string, given?: readonly LayerTensor[]): NamedTensor[] {
    this.path.push(entry.name);
    const results =
      entry.type === 'Sequential'
        ? [this.sequential(entry, prefix, given)]
        : this.functional(entry, prefix, given);
    this.path.pop();
    return results;
  }

  private functional(entry: LayerEntry, prefix: string, given?: readonly LayerTensor[]): NamedTensor[] {
    const where = `Model '${entry.name}'`;
    const layers = parseLayers(entry.config.layers, where);
    const inputs = parseRefs(entry.config.input_layers, `${where}, input_layers`);
    const outputs = parseRefs(entry.config.output_layers, `${where}, output_layers`);
    if (given && given.length !== inputs.length) {
      throw invalid(`${where}: expected ${inputs.length} inputs but it is called on ${given.length}.`);
    }
    const refs = [...layers.flatMap((l) => l.calls.flat()), ...outputs];
    const first = new Map(layers.map((l) => [l.name, firstCall(l, refs)]));
    const results = new Map<string, NamedTensor[]>();
    const key = ({ layer, call }: CallRef) => `${layer}:${call - (first.get(layer) ?? 0)}`;
    const find = (ref: CallRef): LayerTensor | undefined => results.get(key(ref))?.[ref.tensor]?.tensor;
    inputs.forEach((ref, i) => {
      const layer = layers.find((l) => l.name === ref.layer && l.type === 'InputLayer');
      if (!layer) throw invalid(`${where}: its input '${ref.layer}' is not an InputLayer.`);
      results.set(key(ref), [{ name: ref.layer, tensor: given?.[i] ?? this.input(layer) }]);
    });
    let pending: Pending[] = layers.flatMap((layer) =>
      layer.calls.map((reads, index) => ({ layer, index, reads })),
    );
    while (pending.length > 0) {
      const waiting: Pending[] = [];
      for (const call of pending) {
        const tensors = call.reads.map(find);
        if (tensors.includes(undefined)) waiting.push(call);
        else {
          const name = `${prefix}${call.layer.name}${call.index > 0 ? `_${call.index}` : ''}`;
          results.set(
            `${call.layer.name}:${call.index}`,
            this.call(call.layer, name, tensors as LayerTensor[]),
          );
        }
      }
      if (waiting.length === pending.length) throw disconnected(waiting[0], find, where);
      pending = waiting;
    }
    return outputs.map((ref) => {
      const tensor = find(ref);
      if (!tensor) throw invalid(`${where}: its output '${ref.layer}' is computed by no layer.`);
      return { name: ref.layer, tensor };
    });
  }

  private sequential(entry: LayerEntry, prefix: string, given?: readonly LayerTensor[]): NamedTensor {
    const where = `Model '${entry.name}'`;
    const layers = parseLayers(entry.config.layers, where);
    let current: NamedTensor | undefined = given && { name: entry.name, tensor: given[0] };
    if (given && given.length !== 1) throw invalid(`${where}: expected one input but found ${given.length}.`);
    for (const layer of layers) {
      if (layer.type === 'InputLayer') {
        current ??= { name: layer.name, tensor: this.input(layer) };
        continue;
      }
      if (!current && !isModel(layer)) {
        current = { name: layer.name, tensor: this.input(layer, `${layer.name}_input`) };
      }
      const results: NamedTensor[] = current
        ? this.call(layer, prefix + layer.name, [current.tensor])
        : this.model(layer, `${prefix}${layer.name}/`);
      if (results.length !== 1)
        throw invalid(`${where}: its layer '${layer.name}' has ${results.length} outputs; expected one.`);
      current = { name: layer.name, tensor: results[0].tensor };
    }
    if (!current) throw invalid(`${where}: expected a list of layers.`);
    return current;
  }

  private input(layer: LayerEntry, name = layer.name): LayerTensor {
    const config = configOf(layer);
    const shape = inputShape(config) ?? innerShape(layer);
    if (!shape) throw config.expected('the shape of the input', 'batch_input_shape', undefined);
    return this.builder.input(name, shape, inputType(config));
  }

  /** Calls a layer. Weights belong to the name that `owner` has. */
  private call(
    layer: LayerEntry,
    name: string,
    inputs: readonly LayerTensor[],
    owner = layer.name,
  ): NamedTensor[] {
    if (isModel(layer)) return this.model(layer, `${name}/`, inputs);
    if (layer.type === 'TimeDistributed') {
      return [{ name: layer.name, tensor: this.timeDistributed(layer, name, inputs) }];
    }
    if (layer.type === 'Bidirectional') {
      return [{ name: layer.name, tensor: this.bidirectional(layer, name, inputs) }];
    }
    const config = new LayerConfig(owner, layer.type, layer.config);
    const read = LAYER_TYPES.get(layer.type);
    if (!read) throw unreadable([layer]);
    const call = new LayerCall(this.builder, config, inputs, name, this.facts);
    return [{ name: layer.name, tensor: read(call) }];
  }

  /** Runs a layer over the steps in their order and in the reverse. */
  private bidirectional(layer: LayerEntry, name: string, inputs: readonly LayerTensor[]): LayerTensor {
    const outer = new LayerCall(this.builder, configOf(layer), inputs, name, this.facts);
    const forward = parseLayer(layer.config.layer);
    const given = layer.config.backward_layer;
    const backward = isRecord(given) ? parseLayer(given) : forward;
    const [ahead, back] = [
      { entry: forward, direction: 'forward', backwards: false },
      { entry: backward, direction: 'backward', backwards: true },
    ].map(({ entry, direction, backwards }) => {
      const config = { ...entry.config, go_backwards: backwards };
      const owner = `${layer.name}/${direction}_${entry.name.replace(/^(forward|backward)_/, '')}`;
      return this.call({ ...entry, config }, `${name}/${direction}`, inputs, owner)[0].tensor;
    });
    return mergeDirections(outer, ahead, back);
  }

  /** Applies a layer to every step: steps and batch are one axis for it. */
  private timeDistributed(layer: LayerEntry, name: string, inputs: readonly LayerTensor[]): LayerTensor {
    const config = configOf(layer);
    const inner = parseLayer(layer.config.layer);
    if (inner.type === 'Dense') return this.call(inner, name, inputs, layer.name)[0].tensor;
    const outer = new LayerCall(this.builder, config, inputs, name, this.facts);
    const { input } = outer;
    const steps = outer.known(input.shape[1] ?? 0, 'the number of steps');
    const merged = outer.result(outer.reshape(outer.plain(input), [-1, ...input.shape.slice(2)]));
    const results = this.call(
      inner,
      `${name}/${inner.name}`,
      [merged],
      isModel(inner) ? undefined : layer.name,
    );
    const [{ tensor }] = results;
    return outer.result(outer.reshape(outer.plain(tensor), [-1, steps, ...tensor.shape.slice(1)]));
  }
}

/** The shape of the input that the layer within a wrapper has. */
function innerShape({ config }: LayerEntry): number[] | undefined {
  return isRecord(config.layer) ? inputShape(configOf(parseLayer(config.layer))) : undefined;
}

const WRAPPERS = new Set(['TimeDistributed', 'Bidirectional', 'InputLayer']);

/** Layers of types that cannot be read, of a model and of those within. */
function unreadLayers({ type, config, ...layer }: LayerEntry): LayerEntry[] {
  if (isModel({ type })) return parseLayers(config.layers, `Model '${layer.name}'`).flatMap(unreadLayers);
  const inner = WRAPPERS.has(type) && isRecord(config.layer) ? unreadLayers(parseLayer(config.layer)) : [];
  return WRAPPERS.has(type) || LAYER_TYPES.has(type) ? inner : [{ type, config, ...layer }];
}

/** Names all that cannot be read at once, with what to do about it. */
function unreadable(layers: readonly LayerEntry[]): LowbitError {
  const names = layers.map(({ name, type }) => `'${name}' (${type})`);
  const one = layers.length === 1;
  const lambda = layers.some(({ type }) => type === 'Lambda');
  return invalid(
    `Layer${one ? '' : 's'} ${names.join(', ')}: layers of ${one ? 'this type' : 'these types'} cannot be read` +
      `${lambda ? ', a Lambda least of all: its function is code of Python' : ', which are custom or not known here'}. ` +
      'Make a graph model, which holds what each layer computes: tensorflowjs_converter ' +
      '--output_format=tfjs_graph_model from the saved model, or model.export() of Keras 3 first.',
  );
}

function disconnected(
  { layer, reads }: Pending,
  find: (ref: CallRef) => LayerTensor | undefined,
  where: string,
): LowbitError {
  const missing = reads.find((ref) => !find(ref))!;
  return invalid(
    `${where}: layer '${layer.name}' (${layer.type}) reads '${missing.layer}' (call ${missing.call}), which is missing or part of a cycle.`,
  );
}

/** The name that a result has for users: its layer's, numbered where a layer gives several. */
function uniqueNames(tensors: readonly NamedTensor[]): NamedTensor[] {
  const used = new Set<string>();
  return tensors.map(({ name, tensor }) => {
    let free = name;
    for (let n = 1; used.has(free); n++) free = `${name}_${n}`;
    used.add(free);
    return { name: free, tensor };
  });
}

/** Each output is a node of its own that computes something. */
function signatureOutputs(builder: GraphBuilder, outputs: readonly NamedTensor[]): SignatureEntry[] {
  const taken = new Set(builder.inputs.map(({ ref }) => refKey(ref)));
  return uniqueNames(outputs).map(({ name, tensor }): SignatureEntry => {
    const plain = builder.plain(tensor);
    const { dtype, shape } = tensor;
    const ref = taken.has(refKey(plain))
      ? builder.op(`${name}/Identity`, 'Identity', [plain], { T: attr.dtype(dtype) })
      : plain;
    taken.add(refKey(ref));
    return { name, ref, dtype, shape };
  });
}

export function isLayersModel({ format, modelTopology }: Json): boolean {
  if (!isRecord(modelTopology)) return false;
  return format === 'layers-model' || 'model_config' in modelTopology || 'class_name' in modelTopology;
}

/**
 * Reads the topology of a layers model.
 *
 * @param model model.json
 * @returns makes the graph of the model and its weights
 * @throws LowbitError 'invalid-model' naming the layer and its type
 */
export function parseLayersModel(model: Json): (weights: ReadonlyMap<string, Constant>) => Graph {
  const topology = model.modelTopology as Json;
  const root = isRecord(topology.model_config) ? topology.model_config : topology;
  const { class_name: type } = root;
  const config = Array.isArray(root.config) ? { layers: root.config } : root.config;
  if (typeof type !== 'string' || !isRecord(config)) {
    throw invalid("The layers model has no class_name and config in its 'modelTopology'.");
  }
  const entry: LayerEntry = { name: String(config.name ?? 'model'), type, config, calls: [] };
  if (!isModel(entry)) throw invalid(`Model '${entry.name}' (${type}): models of this type cannot be read.`);
  const unread = unreadLayers(entry);
  if (unread.length > 0) throw unreadable(unread);
  const { modelTopology: _, weightsManifest: __, trainingConfig: ___, ...source } = model;
  const keras3 = /^[3-9]/.test(String(topology.keras_version ?? ''));
  return (weights) => {
    const reader = new ModelReader(new Weights(weights), keras3);
    const outputs = signatureOutputs(reader.builder, reader.model(entry, ''));
    const { nodes, constants, inputs } = reader.builder;
    return { nodes, constants, inputs, outputs, source: { ...source, format: 'graph-model' } };
  };
}
