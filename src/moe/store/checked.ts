import { crc32 } from 'node:zlib';
import { LowbitError } from '../../base/errors';
import type { ExpertRecord } from './container';

/** The error of an expert that could not be read or is damaged. */
export function expertError(
  source: string,
  { layer, expert }: ExpertRecord,
  code: 'io' | 'invalid-weights',
  reason: string,
  cause?: unknown,
): LowbitError {
  const advice = code === 'io' ? '' : ' Convert the model again, or copy it anew.';
  const message = `Cannot read expert ${expert} of layer ${layer} from ${source}: ${reason}.${advice}`;
  return new LowbitError(code, message, { cause });
}

/** Copies an expert received over a network after checking its length and checksum. */
export function copyChecked(source: string, record: ExpertRecord, bytes: Uint8Array, into: Uint8Array): void {
  if (bytes.length !== record.bytes) {
    const reason = `${bytes.length} bytes came instead of ${record.bytes}`;
    throw expertError(source, record, 'invalid-weights', reason);
  }
  if (crc32(bytes) !== record.crc)
    throw expertError(source, record, 'invalid-weights', 'its checksum is wrong');
  into.set(bytes);
}
