import type { ExpertIndex, ExpertRecord } from './container';

/** Where experts come from: a file, a web server, a database. */
export interface ExpertSource {
  /** What messages call it. */
  readonly name: string;
  readonly index: ExpertIndex;
  /**
   * Reads an expert; nothing of it counts before its checksum was found right.
   *
   * @param into whole pages, at least `record.bytes` bytes; what lies behind those has no defined value afterwards
   * @throws LowbitError 'invalid-weights' if the bytes are not those that were written, 'io' if they cannot be read
   */
  read(record: ExpertRecord, into: Uint8Array): Promise<void>;
  /** The same at once, blocking; absent where the source cannot. */
  readNow?(record: ExpertRecord, into: Uint8Array): void;
  close(): Promise<void>;
}
