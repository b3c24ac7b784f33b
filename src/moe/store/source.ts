import type { ExpertIndex, ExpertRecord } from './container';

/** Where experts come from: a file, a web server, a database. */
export interface ExpertSource {
  /** Its name in messages. */
  readonly name: string;
  readonly index: ExpertIndex;
  /**
   * Reads an expert and checks its checksum.
   *
   * @param into whole pages, at least `record.bytes` bytes; bytes after those are undefined afterwards
   * @throws LowbitError 'invalid-weights' if the bytes are not those that were written, 'io' if they cannot be read
   */
  read(record: ExpertRecord, into: Uint8Array): Promise<void>;
  /** The same, blocking; absent where the source cannot block. */
  readNow?(record: ExpertRecord, into: Uint8Array): void;
  close(): Promise<void>;
}
