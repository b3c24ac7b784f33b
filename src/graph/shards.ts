/** The files that the weights of a model lie in, end to end. */
import { closeSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { LowbitError } from '../base/errors';

export interface Shard {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Reads bytes across shards that lie end to end.
 *
 * @param room for the result; default: new
 */
export function readRange(
  shards: readonly Shard[],
  start: number,
  length: number,
  room: ArrayBuffer = new ArrayBuffer(length),
): Uint8Array {
  const result = new Uint8Array(room, 0, length);
  let filled = 0;
  let begin = 0;
  for (const { path, bytes } of shards) {
    const end = begin + bytes;
    if (end > start + filled && filled < length) {
      const file = openSync(path, 'r');
      try {
        const from = start + filled - begin;
        const count = Math.min(length - filled, bytes - from);
        for (let read = 0; read < count; ) {
          const got = readSync(file, result, filled, count - read, from + read);
          if (got === 0)
            throw new LowbitError('invalid-weights', `Shard '${basename(path)}' shrank while it was read.`);
          read += got;
          filled += got;
        }
      } finally {
        closeSync(file);
      }
    }
    begin = end;
  }
  return result;
}
