/** The IR as a TF.js graph model: model.json and shards of at most 4 MiB, the same bytes for the same graph. */
import { fromFloat16Bits, toFloat16Bits } from '../base/float16';
import { joinBytes } from '../base/join-bytes';
import { dtypeName, shapeToJson } from './attrs';
import type { Constant, Graph, GraphNode, SignatureEntry } from './ir';
import type { GraphModelArtifacts, WeightEntry } from './model-artifacts';
import { isResource, parseRef } from './read-graph-model';
import { piecesOf, storedForm } from './stored-constants';
import { constantBytes } from './weights';

type Json = Record<string, unknown>;

const SHARD_BYTES = 4 * 1024 * 1024;

/** What viewers of models read of a constant: its values lie in the shards. */
function constantToJson({ dtype, shape }: Constant): Json {
  return { tensor: { dtype: dtypeName(dtype), tensorShape: shapeToJson(shape) } };
}

function nodeToJson(node: GraphNode, constant: Constant | undefined): Json {
  const inputs = [
    ...node.inputs.map((i) => (i.index === 0 ? i.node : `${i.node}:${i.index}`)),
    ...(node.controlInputs ?? []).map((name) => `^${name}`),
  ];
  const value = node.op === 'Const' && constant && { value: constantToJson(constant) };
  const attrs = { ...node.attrs, ...value };
  return { name: node.name, op: node.op, ...(inputs.length > 0 && { input: inputs }), attr: attrs };
}

/** Entries that still mean what the source model wrote are written as it wrote them, and tables stay where they were. */
function signatureToJson(entries: readonly SignatureEntry[], original: unknown): Json {
  const source = Object.entries((original ?? {}) as Record<string, Json>);
  const names = new Set(entries.map(({ name }) => name));
  const written: Json = Object.fromEntries(
    source.filter(([name, entry]) => names.has(name) || isResource(entry)),
  );
  for (const { name, ref, dtype, shape } of entries) {
    const before = (original as Record<string, Json> | undefined)?.[name];
    const same = typeof before?.name === 'string' && parseRef(before.name).node === ref.node;
    written[name] = same
      ? before
      : {
          name: `${ref.node}:${ref.index}`,
          dtype: dtypeName(dtype),
          ...(shape && { tensorShape: shapeToJson(shape) }),
        };
  }
  return written;
}

function signature(graph: Graph): Json {
  const metadata = graph.source.userDefinedMetadata as Json | undefined;
  const original = (metadata?.signature ?? graph.source.signature ?? {}) as Json;
  return {
    ...original,
    inputs: signatureToJson(graph.inputs, original.inputs),
    outputs: signatureToJson(graph.outputs, original.outputs),
  };
}

function topology(graph: Graph): Json {
  const original = (graph.source.modelTopology ?? {}) as Json;
  const node = [...graph.nodes.values()].map((n) => nodeToJson(n, graph.constants.get(n.name)));
  // TF.js reads versions.producer of every graph model.
  return { versions: {}, ...original, node };
}

function bytesOf(values: Constant['values']): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Bits of a number in half precision, where its exponent is a normal one there and no bit of its fraction is lost. */
function normalFloat16(bits: number): number | undefined {
  const exponent = (bits >>> 23) & 0xff;
  if ((bits & 0x1fff) !== 0 || exponent < 113 || exponent > 142) return undefined;
  return ((bits >>> 16) & 0x8000) | ((exponent - 112) << 10) | ((bits >>> 13) & 0x3ff);
}

/** Half precision; undefined where it does not hold every value exactly. */
function exactFloat16(values: Float32Array): Uint8Array | undefined {
  const bytes = new Uint8Array(values.length * 2);
  const view = new DataView(bytes.buffer);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) {
    const normal = normalFloat16(words[i]);
    const half = normal ?? toFloat16Bits(values[i]);
    if (normal === undefined && fromFloat16Bits(half) !== values[i]) return undefined;
    view.setUint16(i * 2, half, true);
  }
  return bytes;
}

/** A weight as it is stored. */
export interface StoredWeight {
  readonly spec: WeightEntry;
  readonly length: number;
  /** What was given before is not to be used any more once the next is asked for. */
  bytes(): Iterable<Uint8Array>;
}

function isExactFloat16(constant: Constant): boolean {
  if (constant.dtype !== 'float32') return false;
  for (const { values } of piecesOf(constant)) if (!exactFloat16(values as Float32Array)) return false;
  return true;
}

function* bytesOfPieces(constant: Constant, encode: (values: Constant['values']) => Uint8Array) {
  for (const { values } of piecesOf(constant)) yield encode(values);
}

/** How a constant is stored; its bytes are made when they are written. */
function store(name: string, constant: Constant): StoredWeight {
  const { dtype, shape } = constant;
  const spec: WeightEntry = { name, shape: [...shape], dtype };
  const form = storedForm(constant);
  if (form)
    return {
      spec: { ...spec, quantization: form.quantization },
      length: form.length,
      bytes: () => [form.bytes()],
    };
  const length = dtype === 'string' ? constant.values.byteLength : constantBytes(constant);
  if (!isExactFloat16(constant)) return { spec, length, bytes: () => bytesOfPieces(constant, bytesOf) };
  const halves = (values: Constant['values']) => exactFloat16(values as Float32Array)!;
  return {
    spec: { ...spec, quantization: { dtype: 'float16' } },
    length: length / 2,
    bytes: () => bytesOfPieces(constant, halves),
  };
}

/** Every field of model.json but the weights. */
function header(graph: Graph): Json {
  const { signature: _, modelTopology: __, userDefinedMetadata, ...rest } = graph.source;
  const written = signature(graph);
  const metadata = userDefinedMetadata as Json | undefined;
  return {
    ...rest,
    format: 'graph-model',
    signature: written,
    ...(metadata && {
      userDefinedMetadata: { ...metadata, ...('signature' in metadata && { signature: written }) },
    }),
    modelTopology: topology(graph),
  };
}

/** The fields of model.json as TF.js hands them from one handler to another. */
function fields(graph: Graph): Omit<GraphModelArtifacts, 'weightSpecs'> {
  const {
    modelTopology,
    format,
    signature: written,
    userDefinedMetadata,
    modelInitializer,
    initializerSignature,
  } = header(graph);
  return {
    modelTopology: modelTopology as Json,
    format: format as string,
    signature: written as Json,
    userDefinedMetadata: userDefinedMetadata as GraphModelArtifacts['userDefinedMetadata'],
    // Tables are filled by a graph of their own.
    ...(modelInitializer !== undefined && { modelInitializer: modelInitializer as Json }),
    ...(initializerSignature !== undefined && { initializerSignature: initializerSignature as Json }),
  };
}

/** The graph for `tf.io.fromMemory`, its weights as they are; TF.js takes one after the other. */
export function toModelArtifacts(
  graph: Graph,
): GraphModelArtifacts & { getWeightStream(): ReadableStream<ArrayBuffer> } {
  const constants = [...graph.constants];
  return {
    ...fields(graph),
    weightSpecs: constants.map(([name, { shape, dtype }]) => ({ name, shape: [...shape], dtype })),
    getWeightStream: () => {
      const left = constants.values();
      return new ReadableStream<ArrayBuffer>({
        pull(controller) {
          const next = left.next();
          if (next.done) controller.close();
          else controller.enqueue(bytesOf(next.value[1].values).slice().buffer as ArrayBuffer);
        },
      });
    },
  };
}

/** The graph for a save handler, its weights as files store them. */
export function toSavedArtifacts(graph: Graph): GraphModelArtifacts & { weightData: ArrayBuffer } {
  const weights = [...graph.constants].map(([name, constant]) => store(name, constant));
  return {
    ...fields(graph),
    weightSpecs: weights.map(({ spec }) => spec),
    weightData: joinBytes([...shards(weights)]).buffer,
  };
}

export function totalBytes(weights: readonly StoredWeight[]): number {
  return weights.reduce((sum, { length }) => sum + length, 0);
}

/** Cuts the weights, laid end to end, into shards. */
export function* shards(weights: readonly StoredWeight[]): Generator<Uint8Array> {
  let left = totalBytes(weights);
  let shard = new Uint8Array(Math.min(SHARD_BYTES, left));
  let filled = 0;
  for (const weight of weights) {
    for (const bytes of weight.bytes()) {
      for (let read = 0; read < bytes.length; ) {
        const length = Math.min(bytes.length - read, shard.length - filled);
        shard.set(bytes.subarray(read, read + length), filled);
        read += length;
        filled += length;
        if (filled < shard.length) continue;
        yield shard;
        left -= filled;
        shard = new Uint8Array(Math.min(SHARD_BYTES, left));
        filled = 0;
      }
    }
  }
}

/** Everything but the shards themselves. */
export function layOut(graph: Graph): { weights: StoredWeight[]; paths: string[]; model: Uint8Array } {
  const weights = [...graph.constants].map(([name, constant]) => store(name, constant));
  const count = Math.ceil(totalBytes(weights) / SHARD_BYTES);
  const paths = Array.from({ length: count }, (_, i) => `group1-shard${i + 1}of${count}.bin`);
  const weightsManifest = [{ paths, weights: weights.map((w) => w.spec) }];
  return {
    weights,
    paths,
    model: new TextEncoder().encode(JSON.stringify({ ...header(graph), weightsManifest })),
  };
}

/** How many bytes `writeGraphModel` would write. */
export function graphModelBytes(graph: Graph): number {
  const { weights, model } = layOut(graph);
  return totalBytes(weights) + model.length;
}
