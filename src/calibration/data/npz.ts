/** NumPy archives (`np.savez`, `np.savez_compressed`) as samples. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkArgument, LowbitError } from '../../base/errors';
import type { SampleSource } from '../../graph/samples';
import { Unzip, UnzipInflate } from '../../vendor/fflate';
import { namedSamples } from './named-samples';
import { claimedBytes, npyFile } from './npy';

/** What is unpacked at a time: it may inflate a thousandfold. */
const CHUNK = 1 << 16;

/** The longest header that is looked for. */
const MAX_HEADER = 1 << 20;

/** Share of the free space of the temporary folder that arrays may take. */
const SHARE_OF_DISK = 0.5;

const MEMBER = /\.npy$/;

export interface NpzOptions {
  /** Bytes that the arrays may take, unpacked. Default: half of what is free where temporary files go. */
  maxBytes?: number;
}

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

/** What arrays may take together. */
class Budget {
  private left: number;

  constructor(private readonly maxBytes: number) {
    this.left = maxBytes;
  }

  take(name: string, bytes: number): void {
    this.left -= bytes;
    if (this.left >= 0) return;
    throw new LowbitError(
      'limit',
      `The array '${name}' takes more than is left of ${Math.floor(this.maxBytes / 2 ** 20)} MiB for unpacked arrays; ` +
        'free some space for temporary files, raise maxBytes, or give the arrays as .npy files.',
    );
  }
}

/** An array on its way into a file: of as many bytes as its header tells. */
class ArrayFile {
  private readonly output: number;
  private beginning: Uint8Array | undefined = new Uint8Array(0);
  private claimed = Number.POSITIVE_INFINITY;
  private written = 0;

  constructor(
    private readonly name: string,
    path: string,
    private readonly budget: Budget,
  ) {
    this.output = openSync(path, 'w');
  }

  write(data: Uint8Array): void {
    if (this.beginning !== undefined) this.readClaim(data);
    this.written += data.length;
    if (this.written > this.claimed) {
      throw new LowbitError(
        'limit',
        `The array '${this.name}' has ${this.claimed} bytes by its header, but inflates to more.`,
      );
    }
    if (this.beginning !== undefined && this.written > MAX_HEADER)
      throw new Error(`the header of the array '${this.name}' is longer than ${MAX_HEADER} bytes`);
    writeSync(this.output, data);
  }

  close(): void {
    closeSync(this.output);
  }

  private readClaim(data: Uint8Array): void {
    this.beginning = Buffer.concat([this.beginning as Uint8Array, data]);
    const claimed = claimedBytes(this.beginning);
    if (claimed === undefined) return;
    this.budget.take(this.name, claimed);
    this.claimed = claimed;
    this.beginning = undefined;
  }
}

/**
 * Unpacks arrays of an archive into files, without holding one in memory.
 *
 * @param isWanted of an array by its name, and of how many were before it
 * @returns the file of each array by its name; of what is not wanted, no file
 */
async function unpack(
  path: string,
  folder: string,
  budget: Budget,
  isWanted: (name: string, before: number) => boolean,
): Promise<Map<string, string | undefined>> {
  const arrays = new Map<string, string | undefined>();
  const unfinished = new Map<string, ArrayFile>();
  const unzip = new Unzip((member) => {
    if (!MEMBER.test(member.name)) return;
    const name = member.name.replace(MEMBER, '');
    if (arrays.has(name)) throw new Error(`it has two arrays '${name}'`);
    if (!isWanted(name, arrays.size)) {
      arrays.set(name, undefined);
      return;
    }
    const target = join(folder, `${arrays.size}.npy`);
    arrays.set(name, target);
    const output = new ArrayFile(name, target, budget);
    unfinished.set(name, output);
    member.ondata = (error, data, final) => {
      if (error) throw error;
      output.write(data);
      if (!final) return;
      output.close();
      unfinished.delete(name);
    };
    member.start();
  });
  unzip.register(UnzipInflate);
  const file = await open(path);
  try {
    await pushAll(file, unzip);
    const [cut] = unfinished.keys();
    if (cut !== undefined) throw new Error(`it ends within the array '${cut}'`);
  } finally {
    for (const output of unfinished.values()) output.close();
    await file.close();
  }
  return arrays;
}

async function budgetOf({ maxBytes }: NpzOptions): Promise<Budget> {
  if (maxBytes !== undefined) {
    checkArgument(maxBytes > 0, 'maxBytes', 'a positive number of bytes', maxBytes);
    return new Budget(maxBytes);
  }
  const { bavail, bsize } = await statfs(tmpdir());
  return new Budget(bavail * bsize * SHARE_OF_DISK);
}

/**
 * The samples of a `.npz` file: an array for every input, by the input's name; a model with one input also takes the only
 * array whatever its name. Arrays that no input needs are ignored. The others are unpacked into a temporary folder, and
 * read from there one sample at a time.
 *
 * @throws LowbitError (while iterating) 'io' for a file that is no complete archive, 'invalid-argument' where an input has
 *   no array, 'limit' for arrays that inflate to more than their headers tell or than `maxBytes`, and as `npyFile` does
 */
export function npzFile(path: string, options: NpzOptions = {}): SampleSource {
  return async function* (inputs) {
    const names = new Set(inputs.map(({ name }) => name));
    const isWanted = (name: string, before: number) => names.has(name) || (names.size === 1 && before === 0);
    const budget = await budgetOf(options);
    const folder = await mkdtemp(join(tmpdir(), 'tfjs-lowbit-npz-'));
    try {
      const arrays = await unpack(path, folder, budget, isWanted).catch((cause) => {
        if (cause instanceof LowbitError)
          throw new LowbitError(cause.code, `${path}: ${cause.message}`, { cause });
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
