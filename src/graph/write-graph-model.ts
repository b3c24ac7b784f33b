/** Writes the IR as a TF.js graph model: model.json and shards of at most 4 MiB, the same bytes for the same graph. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { getFloat16, setFloat16 } from '@petamoriken/float16';
import { LowbitError } from '../base/errors';
import { dtypeName, shapeToJson } from './attrs';
import type { Constant, Graph, GraphNode, SignatureEntry } from './ir';
import { EXPERTS_FILE } from './mixture';
import type { GraphModelArtifacts, WeightEntry } from './model-artifacts';
import { isResource, parseRef } from './read-graph-model';
import { constantBytes } from './read-weights';
import { piecesOf, storedForm } from './stored-constants';

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
    const half = normalFloat16(words[i]);
    if (half !== undefined) {
      view.setUint16(i * 2, half, true);
      continue;
    }
    setFloat16(view, i * 2, values[i], true);
    if (getFloat16(view, i * 2, true) !== values[i]) return undefined;
  }
  return bytes;
}

interface StoredWeight {
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

/** The graph for `tf.io.fromMemory`, its weights as they are; TF.js takes one after the other. */
export function toModelArtifacts(graph: Graph): GraphModelArtifacts {
  const { modelTopology, format, signature: written, userDefinedMetadata, ...rest } = header(graph);
  const constants = [...graph.constants];
  return {
    modelTopology: modelTopology as Json,
    format: format as string,
    signature: written as Json,
    userDefinedMetadata: userDefinedMetadata as GraphModelArtifacts['userDefinedMetadata'],
    // Tables are filled by a graph of their own.
    ...(rest.modelInitializer !== undefined && { modelInitializer: rest.modelInitializer as Json }),
    ...(rest.initializerSignature !== undefined && {
      initializerSignature: rest.initializerSignature as Json,
    }),
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

function totalBytes(weights: readonly StoredWeight[]): number {
  return weights.reduce((sum, { length }) => sum + length, 0);
}

/** Cuts the weights, laid end to end, into shards. */
function* shards(weights: readonly StoredWeight[]): Generator<Uint8Array> {
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

async function isOurs(path: string): Promise<boolean> {
  try {
    return JSON.parse(await readFile(path, 'utf8')).userDefinedMetadata?.lowbit !== undefined;
  } catch {
    return false;
  }
}

/** Only a folder that holds a model and nothing else may be replaced: other files in it are the user's. */
async function checkReplaceable(folder: string, overwrite: boolean): Promise<boolean> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new LowbitError('io', `Cannot write to ${folder}: ${error.message}`, { cause: error });
  });
  if (!names) return false;
  if (names.length === 0) return true;
  const other = names.find((n) => n !== 'model.json' && n !== EXPERTS_FILE && !n.endsWith('.bin'));
  if (other || !names.includes('model.json')) {
    throw new LowbitError(
      'io',
      `The output folder ${folder} holds other files (${other ?? names[0]}); choose a new folder, or an older output.`,
    );
  }
  if (!overwrite && !(await isOurs(join(folder, 'model.json')))) {
    throw new LowbitError(
      'io',
      `The output folder ${folder} holds a model that tfjs-lowbit did not write; choose another folder or allow overwriting.`,
    );
  }
  return true;
}

function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new LowbitError('cancelled', 'Writing the model was cancelled; nothing was left behind.');
}

/** Everything but the shards themselves. */
function layOut(graph: Graph): { weights: StoredWeight[]; paths: string[]; model: Buffer } {
  const weights = [...graph.constants].map(([name, constant]) => store(name, constant));
  const count = Math.ceil(totalBytes(weights) / SHARD_BYTES);
  const paths = Array.from({ length: count }, (_, i) => `group1-shard${i + 1}of${count}.bin`);
  const weightsManifest = [{ paths, weights: weights.map((w) => w.spec) }];
  return { weights, paths, model: Buffer.from(JSON.stringify({ ...header(graph), weightsManifest })) };
}

/** How many bytes `writeGraphModel` would write. */
export function graphModelBytes(graph: Graph): number {
  const { weights, model } = layOut(graph);
  return totalBytes(weights) + model.length;
}

interface WriteOptions {
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  /** Writes the experts of the model, if it has any, to a file. */
  readonly writeExperts?: (path: string) => Promise<void>;
}

async function writeFiles(
  graph: Graph,
  folder: string,
  { signal, writeExperts }: WriteOptions,
): Promise<number> {
  const { weights, paths, model } = layOut(graph);
  let written = 0;
  for (const shard of shards(weights)) {
    checkAborted(signal);
    await writeFile(join(folder, paths[written++]), shard);
  }
  await writeFile(join(folder, 'model.json'), model);
  const experts = join(folder, EXPERTS_FILE);
  await writeExperts?.(experts);
  checkAborted(signal);
  return totalBytes(weights) + model.length + (writeExperts ? (await stat(experts)).size : 0);
}

/** Puts a finished folder in the place of another; the old one is deleted only once the new one is there. */
async function swap(finished: string, target: string): Promise<void> {
  const old = `${finished}.old`;
  await rename(target, old);
  try {
    await rename(finished, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true });
}

/**
 * Checks that `writeGraphModel` may write to a folder, so that a conversion can refuse before its work.
 *
 * @throws LowbitError 'io' if the folder holds anything but a model of ours (with `overwrite`: any model)
 */
export async function checkOutputFolder(folder: string, overwrite: boolean): Promise<void> {
  await checkReplaceable(resolve(folder), overwrite);
}

/**
 * Writes a graph model. The folder appears complete or not at all.
 *
 * @param folder created, or replaced when it holds a model of ours (with `overwrite`: any model) and nothing else
 * @returns bytes written
 * @throws LowbitError 'io' if it cannot be written, 'cancelled' on abort; neither leaves anything behind
 */
export async function writeGraphModel(
  graph: Graph,
  folder: string,
  options: WriteOptions = {},
): Promise<number> {
  const target = resolve(folder);
  const exists = await checkReplaceable(target, options.overwrite ?? false);
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.${basename(target)}-${randomUUID()}`);
  try {
    await mkdir(temporary);
    const bytes = await writeFiles(graph, temporary, options);
    if (exists) await swap(temporary, target);
    else await rename(temporary, target);
    return bytes;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof LowbitError) throw error;
    throw new LowbitError('io', `Cannot write ${target}: ${(error as Error).message}`, { cause: error });
  }
}
