/** NumPy archives (`np.savez`, `np.savez_compressed`) as samples. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Unzip, UnzipInflate } from 'fflate';
import { LowbitError } from '../../base/errors';
import type { SampleSource } from '../../graph/samples';
import { namedSamples } from './named-samples';
import { npyFile } from './npy';

const CHUNK = 1 << 20;

const MEMBER = /\.npy$/;

async function pushAll(file: FileHandle, unzip: Unzip): Promise<void> {
  const { size } = await file.stat();
  const chunk = new Uint8Array(CHUNK);
  for (let position = 0; position < size; ) {
    const { bytesRead } = await file.read(chunk, 0, CHUNK, position);
    if (position === 0 && Buffer.from(chunk.subarray(0, 2)).toString('latin1') !== 'PK') {
      throw new Error('it is no zip archive');
    }
    position += bytesRead;
    unzip.push(chunk.slice(0, bytesRead), position >= size);
  }
}

/**
 * Unpacks the arrays of an archive into files, without holding one in memory.
 *
 * @returns the file of each array, by its name
 */
async function unpack(path: string, folder: string): Promise<Map<string, string>> {
  const arrays = new Map<string, string>();
  const unfinished = new Set<string>();
  const unzip = new Unzip((member) => {
    if (!MEMBER.test(member.name)) return;
    const name = member.name.replace(MEMBER, '');
    const target = join(folder, `${arrays.size}.npy`);
    arrays.set(name, target);
    unfinished.add(name);
    const output = openSync(target, 'w');
    member.ondata = (error, data, final) => {
      if (!error) writeSync(output, data);
      if (error || final) closeSync(output);
      if (error) throw error;
      if (final) unfinished.delete(name);
    };
    member.start();
  });
  unzip.register(UnzipInflate);
  const file = await open(path);
  try {
    await pushAll(file, unzip);
  } finally {
    await file.close();
  }
  const [cut] = unfinished;
  if (cut !== undefined) throw new Error(`it ends within the array '${cut}'`);
  return arrays;
}

/**
 * The samples of a `.npz` file: an array for every input, by the input's name; a model with one input also takes the only
 * array whatever its name. Arrays that no input needs are ignored. They are unpacked into a temporary folder, and
 * read from there one sample at a time.
 *
 * @throws LowbitError (while iterating) 'io' for a file that is no complete archive, 'invalid-argument' where an input has
 *   no array, and as `npyFile` does
 */
export function npzFile(path: string): SampleSource {
  return async function* (inputs) {
    const folder = await mkdtemp(join(tmpdir(), 'tfjs-lowbit-'));
    try {
      const arrays = await unpack(path, folder).catch((cause) => {
        throw new LowbitError('io', `Cannot read ${path} as .npz: ${(cause as Error).message}.`, { cause });
      });
      const only = inputs.length === 1 && arrays.size === 1 ? [...arrays.keys()][0] : undefined;
      const sources = inputs.map(({ name }): [string, SampleSource] => {
        const array = only ?? name;
        const file = arrays.get(array);
        if (file !== undefined) return [name, npyFile(file, `'${array}' of ${path}`)];
        throw new LowbitError(
          'invalid-argument',
          `${path} has no array for input '${name}'; it has ${[...arrays.keys()].map((key) => `'${key}'`).join(', ') || 'none'}.`,
        );
      });
      yield* namedSamples(new Map(sources))(inputs);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}
