/** Finds and loads the Node-API addon, build/lowbit.node in the package's root. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LowbitError } from '../base/errors';
import { packageRoot } from '../base/package-root';

/** The exports of native/node/addon.cc; `handle` is opaque, shapes are words: rank, dims... for each tensor. */
export interface NativeAddon {
  compile(program: Int32Array, weights: Int32Array, isa: string | undefined): unknown;
  outputShapes(handle: unknown, shapes: Int32Array): number[];
  run(handle: unknown, shapes: Int32Array, inputs: readonly unknown[], outputs: readonly unknown[]): void;
  startProfile(handle: unknown): void;
  endProfile(handle: unknown): [runs: number, ...opNanoseconds: number[]];
  memory(handle: unknown): [weights: number, arena: number, withoutReuse: number];
  dispose(handle: unknown): void;
  threads(): number;
  setThreads(count: number): void;
  isa(): string;
  supports(isa: string): boolean;
  instructionSets(): string[];
  dequantize(
    numbers: Float64Array,
    levels: Int8Array,
    codes: unknown,
    scales: unknown,
    out: unknown,
    isa: string | undefined,
  ): void;
  hadamard(
    values: Float32Array,
    rows: number,
    depth: number,
    block: number,
    seed: number,
    inverse: number,
    isa: string | undefined,
  ): void;
  limits(
    isa: string | undefined,
  ): [macs: number, l2Bytes: number, dramBytes: number, l2Stores: number, dramStores: number];
  route(
    router: Float64Array,
    logits: Float32Array,
    tokens: number,
    bias: Float32Array | undefined,
    resident: Int32Array | undefined,
    isa: string,
    ids: Int32Array,
    weights: Float32Array,
    meanRange: Float32Array | undefined,
  ): void;
  runExpert(
    shape: Float64Array,
    bytes: Uint8Array,
    x: Float32Array,
    rows: Int32Array,
    weights: Float32Array,
    outRows: Int32Array,
    out: Float32Array,
    isa: string,
  ): void;
}

/** The exports of native/node/expert-reader.cc; offsets and lengths in bytes. */
export interface ExpertReaderAddon {
  /** Page-aligned zeros. */
  allocatePages(bytes: number): ArrayBuffer;
  openExperts(path: string, direct: boolean): unknown;
  /** Reads `length` bytes (whole pages if there is room) on another thread and checks their CRC-32. */
  readExpert(handle: unknown, offset: number, length: number, crc: number, into: Uint8Array): Promise<void>;
  readExpertNow(handle: unknown, offset: number, length: number, crc: number, into: Uint8Array): void;
  closeExperts(handle: unknown): void;
}

/**
 * Loads the addon.
 *
 * @throws LowbitError 'engine-unavailable' with the reason and what to do
 */
export function loadNativeAddon(): NativeAddon & ExpertReaderAddon {
  const build = join(packageRoot(), 'build');
  const path = process.env.LOWBIT_ADDON ?? join(build, 'lowbit.node');
  try {
    return require(path) as NativeAddon & ExpertReaderAddon;
  } catch (cause) {
    const log = join(build, 'native-build-error.txt');
    const reason = existsSync(log)
      ? readFileSync(log, 'utf8').trim()
      : (cause as Error).message.split('\n')[0];
    throw new LowbitError(
      'engine-unavailable',
      `The native engine of tfjs-lowbit is not available: ${reason}\n` +
        'It is built when the package is installed; with a C++ compiler on this machine, run `npm rebuild tfjs-lowbit`.',
      { cause },
    );
  }
}
