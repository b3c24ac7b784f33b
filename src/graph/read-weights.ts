/** Reads the weights of a model folder: manifest entries out of shard files, one weight at a time. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, isAbsolute, join, normalize, sep } from 'node:path';
import { LowbitError } from '../base/errors';
import type { Constant } from './ir';
import { isRecord } from './json';
import { readRange, type Shard } from './shards';
import { StoredConstants } from './stored-constants';
import {
  addEntry,
  decode,
  parseSpec,
  readEntry,
  staysInFile,
  storedElementBytes,
  type WeightReader,
  type WeightSpec,
} from './weights';

function invalid(message: string): LowbitError {
  return new LowbitError('invalid-weights', message);
}

/** Rejects paths out of the model's folder: a model may come from anywhere. */
async function openShards(folder: string, paths: unknown): Promise<Shard[]> {
  if (!Array.isArray(paths)) throw invalid('The weights manifest has a group without a list of paths.');
  const shards: Shard[] = [];
  for (const path of paths) {
    if (typeof path !== 'string' || path === '' || path.includes('\0')) {
      throw invalid(`Expected a file name in the weights manifest but found ${JSON.stringify(path)}.`);
    }
    const local = normalize(path);
    if (isAbsolute(path) || /^[a-z]+:/i.test(path) || local.split(/[\\/]/).includes('..')) {
      throw invalid(`Shard '${path}' lies outside the folder of the model; move it beside model.json.`);
    }
    const file = join(folder, local.split('/').join(sep));
    const info = await stat(file).catch((cause) => {
      throw new LowbitError(
        'invalid-weights',
        `Shard '${path}' cannot be read: it is missing from ${folder}.`,
        { cause },
      );
    });
    if (!info.isFile()) throw invalid(`Shard '${path}' is not a file.`);
    shards.push({ path: file, bytes: info.size });
  }
  return shards;
}

/** The default size of shards of converters. */
const SHARD_BYTES = 4 * 1024 * 1024;

/**
 * Names the shard that does not have the size it should have. Converters fill every shard but the last to the same
 * size, so a smaller one is the one that was cut; otherwise it is the last.
 */
function sizeError(shards: readonly Shard[], expectedBytes: number): LowbitError {
  const found = shards.reduce((sum, s) => sum + s.bytes, 0);
  const usual = shards.length === Math.ceil(expectedBytes / SHARD_BYTES);
  const full = usual ? SHARD_BYTES : Math.max(0, ...shards.map((s) => s.bytes));
  const cut = found < expectedBytes ? shards.slice(0, -1).find((s) => s.bytes < full) : undefined;
  const shard = cut ?? shards[shards.length - 1];
  if (!shard) return invalid(`The weights manifest lists ${expectedBytes} bytes of weights but no shard.`);
  const expected = cut ? full : shard.bytes + expectedBytes - found;
  const problem = found < expectedBytes ? 'is truncated' : 'is too long';
  return invalid(
    `Shard '${basename(shard.path)}' ${problem}: expected ${expected} bytes but found ${shard.bytes}. Download it again.`,
  );
}

/** Sequential reads across the shards of one group, without holding a whole shard. */
class ShardReader implements WeightReader {
  private index = 0;
  private position = 0;
  private handle: FileHandle | undefined;
  remaining: number;

  constructor(private readonly shards: readonly Shard[]) {
    this.remaining = shards.reduce((sum, s) => sum + s.bytes, 0);
  }

  async read(bytes: number): Promise<Uint8Array> {
    if (bytes > this.remaining) throw sizeError(this.shards, this.total + bytes - this.remaining);
    const result = new Uint8Array(bytes);
    let filled = 0;
    while (filled < bytes) {
      const shard = this.shards[this.index];
      if (this.position === shard.bytes) {
        await this.close();
        this.index++;
        this.position = 0;
        continue;
      }
      this.handle ??= await open(shard.path, 'r');
      const length = Math.min(bytes - filled, shard.bytes - this.position);
      const { bytesRead } = await this.handle.read(result, filled, length, this.position);
      if (bytesRead === 0) throw invalid(`Shard '${basename(shard.path)}' shrank while it was read.`);
      filled += bytesRead;
      this.position += bytesRead;
    }
    this.remaining -= bytes;
    return result;
  }

  async skip(bytes: number): Promise<void> {
    if (bytes > this.remaining) throw sizeError(this.shards, this.total + bytes - this.remaining);
    this.remaining -= bytes;
    this.position += bytes;
    while (this.index < this.shards.length && this.position > this.shards[this.index].bytes) {
      await this.close();
      this.position -= this.shards[this.index++].bytes;
    }
  }

  private get total(): number {
    return this.shards.reduce((sum, s) => sum + s.bytes, 0);
  }

  async close(): Promise<void> {
    await this.handle?.close();
    this.handle = undefined;
  }
}

interface Group {
  specs: WeightSpec[];
  shards: Shard[];
  bytes: number;
}

/** One group of the manifest, its sizes checked against its files. */
async function openGroup(folder: string, group: unknown): Promise<Group> {
  if (!isRecord(group) || !Array.isArray(group.weights)) {
    throw invalid('The weights manifest has a group without a list of weights.');
  }
  const specs = group.weights.map(parseSpec);
  const shards = await openShards(folder, group.paths);
  const bytes = shards.reduce((sum, s) => sum + s.bytes, 0);
  const expected = specs.reduce((sum, s) => sum + s.elements * storedElementBytes(s), 0);
  const exact = specs.every((s) => s.dtype !== 'string');
  if (exact ? bytes !== expected : bytes < expected) throw sizeError(shards, expected);
  return { specs, shards, bytes };
}

function listGroups(manifest: unknown): unknown[] {
  if (!Array.isArray(manifest))
    throw invalid("Expected a list of groups in 'weightsManifest' of model.json.");
  return manifest;
}

async function readGroup(
  folder: string,
  group: unknown,
  constants: Map<string, Constant>,
  stored: StoredConstants,
): Promise<void> {
  const { specs, shards, bytes } = await openGroup(folder, group);
  const reader = new ShardReader(shards);
  try {
    for (const spec of specs) {
      if (!staysInFile(spec)) {
        addEntry(constants, spec, await readEntry(spec, reader));
        continue;
      }
      const [start, size] = [bytes - reader.remaining, storedElementBytes(spec)];
      const length = spec.elements * size;
      await reader.skip(length);
      addEntry(constants, spec, {
        constant: stored.constant(spec, (first, count, room) =>
          decode(spec, readRange(shards, start + first * size, count * size, room)),
        ),
        bytes: () => readRange(shards, start, length),
      });
    }
    if (reader.remaining > 0) throw sizeError(shards, bytes - reader.remaining);
  } finally {
    await reader.close();
  }
}

/**
 * Reads all weights that a manifest lists. Sizes are checked against the files before anything is allocated; large
 * weights are read when they are looked at.
 *
 * @param folder where model.json lies
 * @param manifest `weightsManifest` of model.json
 * @returns weights by name; uint8, uint16 and float16 storage expanded to float32 or int32, as TF.js does
 * @throws LowbitError 'invalid-weights' naming the shard or the weight and what was expected
 */
export async function readWeights(folder: string, manifest: unknown): Promise<Map<string, Constant>> {
  const constants = new Map<string, Constant>();
  const stored = new StoredConstants();
  for (const group of listGroups(manifest)) await readGroup(folder, group, constants, stored);
  return constants;
}

/**
 * The shards of every group, one after the other, after checking that they have the bytes that the manifest lists.
 *
 * @throws LowbitError 'invalid-weights' as `readWeights`
 */
export async function listShards(folder: string, manifest: unknown): Promise<Shard[]> {
  const shards: Shard[] = [];
  for (const group of listGroups(manifest)) shards.push(...(await openGroup(folder, group)).shards);
  return shards;
}
