/**
 * The artefacts of a model whose programs' weights bypass TF.js (see `held-weights.ts`).
 *
 * TF.js decodes `weightData` once and keeps the artefacts for `model.save()`. So the first access to them returns
 * tokens in place of the weights; every later one returns the contents of the files, read again.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { io } from '@tensorflow/tfjs-core';
import { storedElementBytes } from '../graph/read-weights';
import { holdWeights } from '../runtime/held-weights';

/** Smaller weights are not worth reading twice. */
const MIN_WORDS = 2 ** 14;

const WORD = 4;

interface RawNode {
  readonly op?: string;
  readonly input?: readonly string[];
}

/** Names of the weights of programs. */
function weightsOfRegions(topology: unknown): Set<string> {
  const nodes = (topology as { node?: readonly RawNode[] }).node ?? [];
  return new Set(nodes.flatMap(({ op, input }) => (op === 'QuantizedRegion' ? [input?.at(-1) ?? ''] : [])));
}

/** Undefined for strings, whose lengths are stored with their bytes. */
function bytesOf(entry: io.WeightsManifestEntry): number | undefined {
  if (entry.dtype === 'string') return undefined;
  return entry.shape.reduce((product, dim) => product * dim, storedElementBytes(entry));
}

function readShards(folder: string, groups: io.WeightsManifestConfig): Buffer {
  return Buffer.concat(groups.flatMap(({ paths }) => paths.map((path) => readFileSync(join(folder, path)))));
}

/** Closures are created outside the functions that have the weights in scope, which they would keep alive. */
function readerOf(folder: string, groups: io.WeightsManifestConfig): () => ArrayBuffer {
  return () => new Uint8Array(readShards(folder, groups)).buffer;
}

function wordsReader(read: () => ArrayBuffer, start: number, bytes: number): () => Int32Array {
  return () => new Int32Array(read().slice(start, start + bytes));
}

function constant<Value>(value: Value): () => Value {
  return () => value;
}

/** Defines a property that returns `first` on its first access and `later()` on every further one. */
function onceThen<Value>(target: object, name: string, first: Value, later: () => Value): void {
  let next = () => {
    next = later;
    return first;
  };
  Object.defineProperty(target, name, {
    get: () => next(),
    set(value: Value) {
      next = constant(value);
    },
    enumerable: true,
    configurable: true,
  });
}

interface Cut {
  readonly specs: io.WeightsManifestEntry[];
  readonly data: ArrayBuffer;
  /** Must live as long as the model. */
  readonly holders: object[];
}

/** Replaces large weights of programs by tokens; undefined if there are none. */
function cutOut(artifacts: io.ModelArtifacts, read: () => ArrayBuffer): Cut | undefined {
  const specs = artifacts.weightSpecs!;
  const sizes = specs.map(bytesOf);
  const regions = weightsOfRegions(artifacts.modelTopology);
  const large = ({ name, dtype, shape }: io.WeightsManifestEntry) =>
    regions.has(name) && dtype === 'int32' && shape.length === 1 && shape[0] >= MIN_WORDS;
  if (!specs.some(large) || sizes.includes(undefined)) return undefined;
  const all = artifacts.weightData as ArrayBuffer;
  const parts: Uint8Array[] = [];
  const holders: object[] = [];
  let offset = 0;
  const compact = specs.map((spec, i) => {
    const [start, bytes] = [offset, sizes[i]!];
    offset += bytes;
    if (!large(spec)) {
      parts.push(new Uint8Array(all, start, bytes));
      return spec;
    }
    const words = new Int32Array(all.slice(start, start + bytes));
    const { token, held } = holdWeights(words, wordsReader(read, start, bytes));
    parts.push(new Uint8Array(token.buffer));
    holders.push(held);
    return { ...spec, shape: [token.byteLength / WORD] };
  });
  return { specs: compact, data: new Uint8Array(Buffer.concat(parts)).buffer, holders };
}

/**
 * @param artifacts with all weights
 * @param folder of the shards, to read them again
 */
export function holdBackWeights(
  artifacts: io.ModelArtifacts,
  folder: string,
  groups: io.WeightsManifestConfig,
): io.ModelArtifacts {
  const read = readerOf(folder, groups);
  const cut = cutOut(artifacts, read);
  if (!cut) return artifacts;
  const held = { ...artifacts, heldWeights: cut.holders };
  onceThen(held, 'weightSpecs', cut.specs, constant(artifacts.weightSpecs!));
  onceThen(held, 'weightData', cut.data, read);
  return held;
}
