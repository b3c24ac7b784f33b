import { open } from 'node:fs/promises';
import { LowbitError } from '../../base/errors';
import { currentEngine } from '../../runtime/current-engine';
import type { ExpertReader } from '../../runtime/engine';
import { expertError } from './checked';
import { type ExpertIndex, type ExpertRecord, fileReader, readIndex } from './container';
import type { ExpertSource } from './source';

export interface FileSourceOptions {
  /** Read past the page cache of the operating system: what is evicted is gone from memory. Default false. */
  readonly direct?: boolean;
}

async function readFileIndex(path: string): Promise<ExpertIndex> {
  const file = await open(path);
  try {
    return await readIndex(path, (await file.stat()).size, fileReader(file));
  } finally {
    await file.close();
  }
}

/**
 * Opens a container of experts on disk; the engine reads it.
 *
 * @throws LowbitError 'io' if it cannot be opened, 'invalid-weights' or 'unsupported-version' as `readIndex`
 */
export async function fileSource(
  path: string,
  { direct = false }: FileSourceOptions = {},
): Promise<ExpertSource> {
  const engine = currentEngine();
  let index: ExpertIndex;
  let reader: ExpertReader;
  try {
    index = await readFileIndex(path);
    reader = engine.openExperts(path, { direct });
  } catch (cause) {
    if (cause instanceof LowbitError && cause.code !== 'io') throw cause;
    throw new LowbitError('io', `Cannot open the experts in ${path}: ${(cause as Error).message}`, { cause });
  }
  const failure = (record: ExpertRecord, error: unknown) => {
    const { code, message } = error as { code?: string; message: string };
    return expertError(path, record, code === 'invalid-weights' ? code : 'io', message, error);
  };
  return {
    name: path,
    index,
    async read(record, into) {
      try {
        await reader.read(record, into);
      } catch (error) {
        throw failure(record, error);
      }
    },
    ...(reader.readNow && {
      readNow(record: ExpertRecord, into: Uint8Array) {
        try {
          reader.readNow!(record, into);
        } catch (error) {
          throw failure(record, error);
        }
      },
    }),
    async close() {
      reader.close();
    },
  };
}
