/** The shards of a model as one sequence of bytes, of which any part can be read. */
import { closeSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { LowbitError } from '../base/errors';
import type { Shard } from '../graph/shards';

const shrank = (path: string) =>
  new LowbitError('invalid-weights', `Shard '${basename(path)}' shrank while it was read.`);

/** Reads all shards into one buffer. */
export async function readShards(shards: readonly Shard[]): Promise<ArrayBuffer> {
  const data = new Uint8Array(shards.reduce((sum, { bytes }) => sum + bytes, 0));
  let start = 0;
  for (const { path, bytes } of shards) {
    const file = await open(path, 'r');
    try {
      for (let filled = 0; filled < bytes; ) {
        const { bytesRead } = await file.read(data, start + filled, bytes - filled, filled);
        if (bytesRead === 0) throw shrank(path);
        filled += bytesRead;
      }
    } finally {
      await file.close();
    }
    start += bytes;
  }
  return data.buffer;
}

/** More would come near the number of files that a process may open. */
const MAX_OPEN = 128;

const abandoned = new FinalizationRegistry<readonly number[]>((files) => {
  for (const file of files) closeSync(file);
});

/**
 * Keeps the files open until `close`, so that a model whose folder is replaced or removed meanwhile is still that which
 * was loaded; after it, or where there are very many, each read opens its file anew.
 */
export class ShardFiles {
  readonly byteLength: number;
  private files: number[] | undefined;

  constructor(private readonly shards: readonly Shard[]) {
    this.byteLength = shards.reduce((sum, { bytes }) => sum + bytes, 0);
    if (shards.length > MAX_OPEN) return;
    const files: number[] = [];
    try {
      for (const { path } of shards) files.push(openSync(path, 'r'));
    } catch (cause) {
      for (const file of files) closeSync(file);
      throw new LowbitError('io', `Cannot open a shard of the model: ${(cause as Error).message}`, { cause });
    }
    this.files = files;
    abandoned.register(this, files, this);
  }

  /** @throws LowbitError 'io' or 'invalid-weights' if the files are not there any more, or shorter */
  read(offset: number, into: Uint8Array): void {
    let start = 0;
    this.shards.forEach((shard, i) => {
      const from = Math.max(offset, start);
      const to = Math.min(offset + into.length, start + shard.bytes);
      if (from < to) this.readShard(i, from - start, into.subarray(from - offset, to - offset));
      start += shard.bytes;
    });
  }

  close(): void {
    if (!this.files) return;
    abandoned.unregister(this);
    for (const file of this.files) closeSync(file);
    this.files = undefined;
  }

  private readShard(index: number, position: number, into: Uint8Array): void {
    const { path } = this.shards[index];
    let own: number | undefined;
    try {
      if (!this.files) own = openSync(path, 'r');
      const file = own ?? this.files![index];
      for (let filled = 0; filled < into.length; ) {
        const count = readSync(file, into, filled, into.length - filled, position + filled);
        if (count === 0) throw shrank(path);
        filled += count;
      }
    } catch (cause) {
      if (cause instanceof LowbitError) throw cause;
      throw new LowbitError('io', `Cannot read the shard ${path}: ${(cause as Error).message}`, { cause });
    } finally {
      if (own !== undefined) closeSync(own);
    }
  }
}
