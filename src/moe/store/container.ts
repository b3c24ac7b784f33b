/**
 * The container of a model's experts on disk.
 *
 * ```
 * page 0   'LBME'  uint32 version  uint64 offset of the index  uint32 its bytes  uint32 its CRC-32      little-endian
 * pages    the bytes of each expert, from a page border on, padded with zeros to the next
 * index    JSON: layers, experts, precisions, entries [layer, expert, precision, offset, bytes, CRC-32]
 * ```
 * A page has 4096 bytes, so that any expert can be read past the page cache. The index comes last: experts are written
 * as they come, and a truncated file has none.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { LowbitError } from '../../base/errors';
import { readAt } from '../../base/read-at';
import * as z from '../../vendor/zod';

export const PAGE_BYTES = 4096;

const MAGIC = 0x454d424c;
const VERSION = 1;
const PREFIX_BYTES = 24;
/** Of millions of experts. */
const MAX_INDEX_BYTES = 2 ** 28;

const natural = z.int().nonnegative();

const index = z.object({
  layers: z.int().positive(),
  experts: z.int().positive(),
  /** The layout of an expert's bytes, by precision; opaque to the container. */
  precisions: z.array(z.object({ name: z.string(), layout: z.unknown() })).min(1),
  entries: z.array(z.tuple([natural, natural, natural, natural, natural, natural])),
});

/** Where an expert lies in the container, and its checksum. */
export interface ExpertRecord {
  readonly layer: number;
  readonly expert: number;
  /** Index into `precisions`. */
  readonly precision: number;
  readonly offset: number;
  readonly bytes: number;
  readonly crc: number;
}

export interface ExpertPrecision {
  readonly name: string;
  readonly layout: unknown;
}

export interface ExpertIndex {
  readonly layers: number;
  readonly experts: number;
  readonly precisions: readonly ExpertPrecision[];
  readonly records: readonly ExpertRecord[];
}

export interface ExpertBytes {
  readonly layer: number;
  readonly expert: number;
  readonly precision: number;
  readonly bytes: Uint8Array;
}

export function pageAligned(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** On a full disk a write is short without an error; only the next one fails. */
async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/**
 * Writes a container beside its path, then renames it; holds one expert at a time.
 *
 * @throws LowbitError 'io' if it cannot be written; nothing is left then
 */
export async function writeContainer(
  path: string,
  model: { layers: number; experts: number; precisions: readonly ExpertPrecision[] },
  experts: AsyncIterable<ExpertBytes> | Iterable<ExpertBytes>,
): Promise<void> {
  const partial = `${path}.partial`;
  let file: FileHandle | undefined;
  try {
    file = await open(partial, 'w');
    const entries: number[][] = [];
    let offset = PAGE_BYTES;
    for await (const { layer, expert, precision, bytes } of experts) {
      await writeAt(file, bytes, offset);
      entries.push([layer, expert, precision, offset, bytes.length, crc32(bytes)]);
      offset += pageAligned(bytes.length);
    }
    const text = Buffer.from(JSON.stringify({ ...model, entries }));
    await writeAt(file, text, offset);
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32LE(MAGIC, 0);
    prefix.writeUInt32LE(VERSION, 4);
    prefix.writeBigUInt64LE(BigInt(offset), 8);
    prefix.writeUInt32LE(text.length, 16);
    prefix.writeUInt32LE(crc32(text), 20);
    await writeAt(file, prefix, 0);
    await file.sync();
    await file.close();
    await rename(partial, path);
  } catch (cause) {
    await file?.close().catch(() => {});
    await rm(partial, { force: true });
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError('io', `Cannot write the experts to ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Reads a range of a container. */
export type RangeReader = (offset: number, bytes: number) => Promise<Uint8Array>;

/**
 * Reads and checks the index of a container.
 *
 * @param name what messages call it
 * @param bytes of the whole container
 * @throws LowbitError 'invalid-weights' naming what is wrong, 'unsupported-version' if a later version wrote it
 */
export async function readIndex(name: string, bytes: number, read: RangeReader): Promise<ExpertIndex> {
  const refuse = (what: string): never => {
    throw new LowbitError(
      'invalid-weights',
      `${name} is no container of experts: ${what}. Convert the model again.`,
    );
  };
  if (bytes < PREFIX_BYTES) refuse(`it has ${bytes} bytes`);
  const prefix = Buffer.from(await read(0, PREFIX_BYTES));
  if (prefix.readUInt32LE(0) !== MAGIC) refuse('it does not start with LBME');
  const version = prefix.readUInt32LE(4);
  if (version > VERSION) {
    throw new LowbitError(
      'unsupported-version',
      `${name} has version ${version} of the container, this one reads up to ${VERSION}; install a newer tfjs-lowbit.`,
    );
  }
  const offset = Number(prefix.readBigUInt64LE(8));
  const length = prefix.readUInt32LE(16);
  if (offset + length !== bytes) refuse(`it has ${bytes} bytes instead of ${offset + length}`);
  if (length > MAX_INDEX_BYTES) refuse(`its index has ${length} bytes, more than ${MAX_INDEX_BYTES}`);
  const text = Buffer.from(await read(offset, length));
  if (crc32(text) !== prefix.readUInt32LE(20)) refuse('the checksum of its index is wrong');
  let parsed: z.infer<typeof index>;
  try {
    parsed = index.parse(JSON.parse(text.toString()));
  } catch {
    return refuse('its index is damaged');
  }
  const { layers, experts, precisions, entries } = parsed;
  const records = entries.map(([layer, expert, precision, start, size, crc]) => {
    if (start % PAGE_BYTES !== 0 || start + size > offset)
      refuse(`expert ${expert} of layer ${layer} lies outside of it`);
    return { layer, expert, precision, offset: start, bytes: size, crc };
  });
  const whole = { layers, experts, precisions: precisions as ExpertPrecision[], records };
  const problem = indexProblem(whole);
  if (problem !== undefined) refuse(problem);
  return whole;
}

/** What is wrong with an index; memory for its layers and experts may be had where nothing is. */
export function indexProblem({ layers, experts, precisions, records }: ExpertIndex): string | undefined {
  const seen = new Set<number>();
  for (const { layer, expert, precision } of records) {
    const what = `expert ${expert} of layer ${layer}`;
    if (layer >= layers || expert >= experts || precision >= precisions.length)
      return `it has no place for ${what}`;
    const key = (layer * experts + expert) * precisions.length + precision;
    if (seen.has(key)) return `${what} is there twice in one precision`;
    seen.add(key);
  }
  return layers * experts > records.length
    ? `it names ${layers} layers of ${experts} experts but has ${records.length}`
    : undefined;
}

export function fileReader(file: FileHandle): RangeReader {
  return (offset, bytes) => readAt(file, offset, bytes);
}
