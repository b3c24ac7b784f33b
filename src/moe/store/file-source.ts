import { open } from 'node:fs/promises';
import { LowbitError } from '../../base/errors';
import { loadNativeAddon } from '../../runtime/native-addon';
import { expertError } from './checked';
import { type ExpertRecord, fileReader, readIndex } from './container';
import type { ExpertSource } from './source';

export interface FileSourceOptions {
  /** Read past the page cache of the operating system: what is evicted is gone from memory. Default false. */
  readonly direct?: boolean;
}

function rename(path: string, record: ExpertRecord, error: unknown): LowbitError {
  const { code, message } = error as { code?: string; message: string };
  return expertError(path, record, code === 'invalid-weights' ? code : 'io', message, error);
}

/**
 * Opens a container of experts on disk; native threads read it.
 *
 * @throws LowbitError 'io' if it cannot be opened, 'invalid-weights' or 'unsupported-version' as `readIndex`
 */
export async function fileSource(
  path: string,
  { direct = false }: FileSourceOptions = {},
): Promise<ExpertSource> {
  const addon = loadNativeAddon();
  let handle: unknown;
  let index: ExpertSource['index'];
  try {
    const file = await open(path);
    try {
      index = await readIndex(path, (await file.stat()).size, fileReader(file));
    } finally {
      await file.close();
    }
    handle = addon.openExperts(path, direct);
  } catch (cause) {
    if (cause instanceof LowbitError) throw cause;
    throw new LowbitError('io', `Cannot open the experts in ${path}: ${(cause as Error).message}`, { cause });
  }
  return {
    name: path,
    index,
    async read(record, into) {
      try {
        await addon.readExpert(handle, record.offset, record.bytes, record.crc, into);
      } catch (error) {
        throw rename(path, record, error);
      }
    },
    readNow(record, into) {
      try {
        addon.readExpertNow(handle, record.offset, record.bytes, record.crc, into);
      } catch (error) {
        throw rename(path, record, error);
      }
    },
    async close() {
      addon.closeExperts(handle);
    },
  };
}
