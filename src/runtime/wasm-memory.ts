/** The memory of a WebAssembly module, which it imports: shared with workers or not. */
import { LowbitError } from '../base/errors';

/** As much of the host's `WebAssembly` as is used here; TypeScript has it only together with all of the DOM. */
declare const WebAssembly: {
  Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
};

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

export const PAGE_BYTES = 65536;

/** As scripts/build-wasm.js links modules. */
const INITIAL_PAGES = 32;
const MOST_PAGES = 65536;

/** Some hosts reserve all that shared memory may grow to, and have no room for 4 GiB. */
const LEAST_MAXIMUM = 4096;

/** Of a memory `memory` that is imported from `env` and has a maximum: what comes before the limits' flags. */
const IMPORT = [...'\u0003env\u0006memory\u0002'].map((letter) => letter.charCodeAt(0));

const MAXIMUM_ONLY = 1;
const SHARED = 3;

/** A module for shared memory, made of one for memory that is not: they differ in the flags of an import. */
export function withSharedMemory(module: Uint8Array): Uint8Array {
  const at = module.findIndex(
    (_, start) =>
      module[start + IMPORT.length] === MAXIMUM_ONLY && IMPORT.every((byte, i) => module[start + i] === byte),
  );
  const copy = module.slice();
  if (at >= 0) copy[at + IMPORT.length] = SHARED;
  return copy;
}

/**
 * @param pages at first
 * @throws LowbitError 'out-of-memory'
 */
export function newMemory(shared: boolean, pages = INITIAL_PAGES): WasmMemory {
  for (let maximum = MOST_PAGES; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: pages, maximum, shared });
    } catch (cause) {
      if (maximum > LEAST_MAXIMUM) continue;
      throw new LowbitError(
        'out-of-memory',
        `The WebAssembly engine cannot be started: ${(cause as Error).message}. Close other pages or processes.`,
        { cause },
      );
    }
  }
}
