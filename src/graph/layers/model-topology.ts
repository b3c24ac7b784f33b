/** How layers are connected: the parts of a model's configuration that are not a layer's own. */
import { LowbitError } from '../../base/errors';
import { isRecord, type Json } from '../json';

/** A result of a call of a layer. */
export interface CallRef {
  readonly layer: string;
  readonly call: number;
  readonly tensor: number;
}

/** A layer as a model lists it. */
export interface LayerEntry {
  readonly name: string;
  readonly type: string;
  readonly config: Json;
  /** What each call of the layer reads. */
  readonly calls: readonly (readonly CallRef[])[];
}

const MODEL_TYPES: ReadonlySet<string> = new Set(['Model', 'Functional', 'Sequential']);

export function isModel({ type }: Pick<LayerEntry, 'type'>): boolean {
  return MODEL_TYPES.has(type);
}

export function invalid(message: string): LowbitError {
  return new LowbitError('invalid-model', message);
}

/** `[name, call, tensor]`, what follows being the arguments of the call. */
function parseRef(value: unknown, where: string): CallRef {
  const [layer, call, tensor] = Array.isArray(value) ? value : [];
  if (typeof layer !== 'string' || !Number.isSafeInteger(call) || !Number.isSafeInteger(tensor)) {
    throw invalid(`${where}: expected [layer, call, tensor] but found ${JSON.stringify(value)}.`);
  }
  return { layer, call, tensor };
}

function checkArguments(value: unknown, where: string): void {
  if (!isRecord(value)) return;
  if (value.training === true)
    throw invalid(`${where}: it is called in training mode, which has no inference.`);
  if (value.mask) throw invalid(`${where}: it is called with a mask, which is not supported.`);
}

/** Keras 3 writes a tensor as an object with its history, anywhere among the arguments. */
function collectHistories(value: unknown, where: string): CallRef[] {
  if (Array.isArray(value)) return value.flatMap((v) => collectHistories(v, where));
  if (!isRecord(value)) return [];
  if (value.class_name !== '__keras_tensor__')
    return Object.values(value).flatMap((v) => collectHistories(v, where));
  return [parseRef(isRecord(value.config) ? value.config.keras_history : undefined, where)];
}

/** What one call reads. */
function parseCall(value: unknown, where: string): CallRef[] {
  if (isRecord(value)) {
    checkArguments(value.kwargs, where);
    return collectHistories(value.args, where);
  }
  return parseRefs(value, where);
}

/** A list of references; a single one may stand without its list, several may be an object's. */
export function parseRefs(value: unknown, where: string): CallRef[] {
  const list = isRecord(value) ? Object.values(value) : value;
  if (!Array.isArray(list)) throw invalid(`${where}: expected a list of tensors.`);
  const refs = typeof list[0] === 'string' ? [list] : list;
  for (const ref of refs) if (Array.isArray(ref)) checkArguments(ref[3], where);
  return refs.map((ref) => parseRef(ref, where));
}

export function parseLayer(value: unknown): LayerEntry {
  const { class_name: type, config, inbound_nodes = [] } = isRecord(value) ? value : {};
  const { name = isRecord(config) ? config.name : undefined } = isRecord(value) ? value : {};
  if (typeof type !== 'string' || typeof name !== 'string' || name === '' || !isRecord(config)) {
    throw invalid('The model lists a layer without a class_name, a name or a config.');
  }
  const where = `Layer '${name}' (${type})`;
  if (!Array.isArray(inbound_nodes)) throw invalid(`${where}: expected a list of calls in inbound_nodes.`);
  return { name, type, config, calls: inbound_nodes.map((call) => parseCall(call, where)) };
}

export function parseLayers(value: unknown, model: string): LayerEntry[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(`${model}: expected a list of layers.`);
  const layers = value.map(parseLayer);
  const names = new Set<string>();
  for (const { name } of layers) {
    if (names.has(name)) throw invalid(`${model}: two layers have the name '${name}'; names must be unique.`);
    names.add(name);
  }
  return layers;
}

/**
 * The number of a nested model's first call: its own inputs and outputs count as call 0 for most writers, in which
 * case nothing refers to that one.
 */
export function firstCall(layer: LayerEntry, refs: readonly CallRef[]): number {
  const used = refs.filter((ref) => ref.layer === layer.name);
  return isModel(layer) && used.length > 0 && used.every((ref) => ref.call > 0) ? 1 : 0;
}
