/** Reads experts by the functions of Node.js, for engines that have none of their own. */
import { closeSync, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { LowbitError } from '../base/errors';
import type { ExpertRange, ExpertReader } from './engine';

const readLater = promisify(read);

const asError = (cause: unknown): LowbitError => new LowbitError('io', (cause as Error).message, { cause });

class ExpertFile implements ExpertReader {
  private file: number | undefined;
  private reads = 0;

  constructor(path: string) {
    try {
      this.file = openSync(path, 'r');
    } catch (cause) {
      throw asError(cause);
    }
  }

  async read(range: ExpertRange, into: Uint8Array): Promise<void> {
    const file = this.open();
    this.reads++;
    try {
      const { bytesRead } = await readLater(file, into, 0, range.bytes, range.offset);
      check(range, into, bytesRead);
    } catch (cause) {
      throw cause instanceof LowbitError ? cause : asError(cause);
    } finally {
      this.reads--;
      if (this.file === undefined && this.reads === 0) closeSync(file);
    }
  }

  readNow(range: ExpertRange, into: Uint8Array): void {
    const file = this.open();
    let bytesRead: number;
    try {
      bytesRead = readSync(file, into, 0, range.bytes, range.offset);
    } catch (cause) {
      throw asError(cause);
    }
    check(range, into, bytesRead);
  }

  close(): void {
    const { file } = this;
    this.file = undefined;
    if (file !== undefined && this.reads === 0) closeSync(file);
  }

  private open(): number {
    if (this.file === undefined) throw new LowbitError('invalid-argument', 'The file of experts was closed.');
    return this.file;
  }
}

/** A read of a regular file is short only where the file ends. */
function check({ offset, bytes, crc }: ExpertRange, into: Uint8Array, bytesRead: number): void {
  if (bytesRead < bytes)
    throw new LowbitError('invalid-weights', `the file ends at byte ${offset + bytesRead}`);
  if (crc32(into.subarray(0, bytes)) !== crc)
    throw new LowbitError('invalid-weights', 'its checksum is wrong');
}

/**
 * Opens a file of experts.
 *
 * @throws LowbitError 'io' if it cannot be opened, or is to be read past the page cache, which Node.js cannot do
 */
export function openExpertFile(path: string, { direct }: { direct: boolean }): ExpertReader {
  if (direct) {
    throw new LowbitError(
      'io',
      'the WebAssembly engine does not read past the page cache; leave out `direct`',
    );
  }
  return new ExpertFile(path);
}
