/**
 * The artefacts of a model whose programs' weights bypass TF.js (see `held-weights.ts`).
 *
 * TF.js decodes `weightData` once and keeps the artefacts for `model.save()`. So the first access to them returns
 * tokens in place of the weights; every later one returns the contents of the files, read again.
 */
import type { io } from '@tensorflow/tfjs-core';
import { type RawWeights, storedElementBytes } from '../graph/read-weights';
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

/** Closures are created outside the functions that have the weights in scope, which they would keep alive. */
function readerOf(weights: RawWeights): () => ArrayBuffer {
  return () => weights.read(0, weights.bytes).buffer;
}

function wordsReader(weights: RawWeights, start: number, bytes: number): () => Int32Array {
  return () => new Int32Array(weights.read(start, bytes).buffer);
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

/** Reads weights with tokens in place of the large ones of programs; undefined if there are none. */
function cutOut(specs: io.WeightsManifestEntry[], topology: unknown, weights: RawWeights): Cut | undefined {
  const sizes = specs.map(bytesOf);
  const regions = weightsOfRegions(topology);
  const large = ({ name, dtype, shape }: io.WeightsManifestEntry) =>
    regions.has(name) && dtype === 'int32' && shape.length === 1 && shape[0] >= MIN_WORDS;
  if (!specs.some(large) || sizes.includes(undefined)) return undefined;
  const parts: Uint8Array[] = [];
  const holders: object[] = [];
  let offset = 0;
  const compact = specs.map((spec, i) => {
    const [start, bytes] = [offset, sizes[i]!];
    offset += bytes;
    if (!large(spec)) {
      parts.push(weights.read(start, bytes));
      return spec;
    }
    const read = wordsReader(weights, start, bytes);
    const { token, held } = holdWeights(read(), read);
    parts.push(new Uint8Array(token.buffer));
    holders.push(held);
    return { ...spec, shape: [token.byteLength / WORD] };
  });
  return { specs: compact, data: new Uint8Array(Buffer.concat(parts)).buffer, holders };
}

/**
 * Adds the weights of files to the artefacts of a model. Each is read on its own, so that no more than the largest is in
 * memory beside what is kept.
 *
 * @param specs entries of the manifest, in order
 */
export function holdBackWeights(
  artifacts: io.ModelArtifacts,
  specs: io.WeightsManifestEntry[],
  weights: RawWeights,
): io.ModelArtifacts {
  const readAll = readerOf(weights);
  const cut = cutOut(specs, artifacts.modelTopology, weights);
  if (!cut) return { ...artifacts, weightSpecs: specs, weightData: readAll() };
  const held = { ...artifacts, heldWeights: cut.holders };
  onceThen(held, 'weightSpecs', cut.specs, constant(specs));
  onceThen(held, 'weightData', cut.data, readAll);
  return held;
}
