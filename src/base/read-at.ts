import type { FileHandle } from 'node:fs/promises';

/**
 * Reads exactly this many bytes of a file.
 *
 * @throws Error that names the byte at which the file ends, if it is too short
 */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new Error(`it ends at byte ${position + filled}`);
    filled += bytesRead;
  }
  return bytes;
}
