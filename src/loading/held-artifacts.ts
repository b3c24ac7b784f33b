/**
 * The artefacts of a model whose programs' weights bypass TF.js (see `held-weights.ts`).
 *
 * TF.js decodes `weightData` once and keeps the artefacts for `model.save()`. So the first access to them returns
 * tokens in place of the weights; every later one returns the contents of the files, read again.
 */
import type { io } from '@tensorflow/tfjs-core';
import type { Shard } from '../graph/shards';
import { storedElementBytes } from '../graph/weights';
import type { WeightReader } from '../runtime/engine';
import { holdWeights } from '../runtime/held-weights';
import { readShards, ShardFiles } from './shard-files';

/** Smaller weights are not worth reading twice. */
const MIN_WORDS = 2 ** 14;

const WORD = 4;

interface RawNode {
  readonly op?: string;
  readonly input?: readonly string[];
}

/** Names of the weights of programs, and how many programs read each. */
function weightsOfRegions(topology: unknown): Map<string, number> {
  const nodes = (topology as { node?: readonly RawNode[] }).node ?? [];
  const readers = new Map<string, number>();
  for (const { op, input } of nodes) {
    const name = input?.at(-1) ?? '';
    if (op === 'QuantizedRegion') readers.set(name, (readers.get(name) ?? 0) + 1);
  }
  return readers;
}

/** Undefined for strings, whose lengths are stored with their bytes. */
function bytesOf(entry: io.WeightsManifestEntry): number | undefined {
  if (entry.dtype === 'string') return undefined;
  return entry.shape.reduce((product, dim) => product * dim, storedElementBytes(entry));
}

function wholeReader(shards: readonly Shard[]): () => ArrayBuffer {
  return () => {
    const files = new ShardFiles(shards);
    try {
      const data = new Uint8Array(files.byteLength);
      files.read(0, data);
      return data.buffer;
    } finally {
      files.close();
    }
  };
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

/** The weights of one program. */
class RegionWeights implements WeightReader {
  constructor(
    private readonly files: ShardFiles,
    private readonly start: number,
    readonly byteLength: number,
    readonly compiled: () => void,
  ) {}

  read(offset: number, into: Uint8Array): void {
    this.files.read(this.start + offset, into);
  }
}

interface Cut {
  readonly specs: io.WeightsManifestEntry[];
  readonly data: ArrayBuffer;
  /** Must live as long as the model. */
  readonly readers: WeightReader[];
}

/** Reads the weights but for large ones of programs, which are tokens; undefined if there are none of those. */
function cutOut(
  topology: unknown,
  specs: io.WeightsManifestEntry[],
  shards: readonly Shard[],
): Cut | undefined {
  const sizes = specs.map(bytesOf);
  const regions = weightsOfRegions(topology);
  const large = ({ name, dtype, shape }: io.WeightsManifestEntry) =>
    regions.has(name) && dtype === 'int32' && shape.length === 1 && shape[0] >= MIN_WORDS;
  if (!specs.some(large) || sizes.includes(undefined)) return undefined;
  const files = new ShardFiles(shards);
  let uncompiled = 0;
  const parts: Uint8Array[] = [];
  const readers: WeightReader[] = [];
  let offset = 0;
  const compact = specs.map((spec, i) => {
    const [start, bytes] = [offset, sizes[i]!];
    offset += bytes;
    if (!large(spec)) {
      const part = new Uint8Array(bytes);
      files.read(start, part);
      parts.push(part);
      return spec;
    }
    const programs = regions.get(spec.name)!;
    uncompiled += programs;
    let compiled = 0;
    const reader = new RegionWeights(files, start, bytes, () => {
      // The files are closed once all programs were compiled; one may be compiled again, for other shapes or backends.
      if (++compiled <= programs && --uncompiled === 0) files.close();
    });
    const token = holdWeights(reader);
    parts.push(new Uint8Array(token.buffer));
    readers.push(reader);
    return { ...spec, shape: [token.byteLength / WORD] };
  });
  return { specs: compact, data: new Uint8Array(Buffer.concat(parts)).buffer, readers };
}

/**
 * Adds the weights of a folder to artefacts.
 *
 * @param specs of all weights, in the order of the shards
 */
export async function withWeights(
  artifacts: io.ModelArtifacts,
  specs: io.WeightsManifestEntry[],
  shards: readonly Shard[],
): Promise<io.ModelArtifacts> {
  const cut = cutOut(artifacts.modelTopology, specs, shards);
  if (!cut) return { ...artifacts, weightSpecs: specs, weightData: await readShards(shards) };
  const held = { ...artifacts, heldWeights: cut.readers };
  onceThen(held, 'weightSpecs', cut.specs, constant(specs));
  onceThen(held, 'weightData', cut.data, wholeReader(shards));
  return held;
}
