/** Finds and loads the Node-API addon. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { LowbitError } from '../base/errors';
import { packageRoot } from '../base/package-root';
import { VERSION } from '../base/version';
import { platformPackage } from './platform-package';

/** The exports of native/node/addon.cc; `handle` is opaque, shapes are words: rank, dims... for each tensor. */
export interface NativeAddon {
  compile(program: Int32Array, weights: Int32Array, isa: string | undefined): unknown;
  /** `read` fills `chunk` with so many bytes of the weights, from an offset on. */
  compileFrom(
    program: Int32Array,
    weightBytes: number,
    read: (offset: number, bytes: number) => void,
    chunk: Uint8Array,
    isa: string | undefined,
  ): unknown;
  outputShapes(handle: unknown, shapes: Int32Array): number[];
  run(handle: unknown, shapes: Int32Array, inputs: readonly unknown[], outputs: readonly unknown[]): void;
  startProfile(handle: unknown): void;
  endProfile(handle: unknown): [runs: number, ...opNanoseconds: number[]];
  memory(handle: unknown): [weights: number, arena: number, withoutReuse: number];
  dispose(handle: unknown): void;
  threads(): number;
  setThreads(count: number): void;
  maxMemory(): number;
  setMaxMemory(bytes: number): void;
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

type Addon = NativeAddon & ExpertReaderAddon;

/** Why there is no addon: for people, with what to do. */
interface Failure {
  readonly reason: string;
  readonly remedy?: string;
  readonly cause?: unknown;
}

const firstLine = (error: unknown) => (error as Error).message.split('\n')[0];

function loadFile(path: string): Addon | Failure {
  try {
    return packageRequire()(path) as Addon;
  } catch (cause) {
    return { reason: firstLine(cause), cause };
  }
}

/** As the package itself requires, whoever bundles this file. */
const packageRequire = () => createRequire(join(packageRoot(), 'package.json'));

function loadPlatformPackage(): Addon | Failure {
  const name = platformPackage();
  if (name === undefined) {
    return { reason: `there is none for ${process.platform} on ${process.arch}.` };
  }
  const remedy = `Install it: npm install ${name}@${VERSION}`;
  try {
    const { version } = packageRequire()(`${name}/package.json`) as { version: string };
    if (version !== VERSION) {
      return { reason: `${name} is of version ${version}, but tfjs-lowbit of ${VERSION}.`, remedy };
    }
  } catch (cause) {
    return { reason: `${name}, which has it for this platform, is not installed.`, remedy, cause };
  }
  const loaded = loadFile(name);
  return 'reason' in loaded ? { ...loaded, reason: `${name} cannot be loaded: ${loaded.reason}` } : loaded;
}

/** In a clone: the addon that was built there. */
function loadBuilt(): Addon | Failure | undefined {
  const root = packageRoot();
  const built = join(root, 'build', 'lowbit.node');
  if (existsSync(built)) return loadFile(built);
  if (!existsSync(join(root, 'scripts', 'build-native.js'))) return undefined;
  const log = join(root, 'build', 'native-build-error.txt');
  return {
    reason: existsSync(log) ? readFileSync(log, 'utf8').trim() : 'it was not built.',
    remedy: 'Build it, which takes a C++ compiler: npm run build:native',
  };
}

/**
 * Loads the addon: the one that `LOWBIT_ADDON` names, else one that was built here, else that of the platform's package.
 *
 * @throws NoNativeAddon with the reason and what to do
 */
export function loadNativeAddon(): Addon {
  const named = process.env.LOWBIT_ADDON;
  if (named) {
    const loaded = loadFile(resolve(named));
    if (!('reason' in loaded)) return loaded;
    throw new NoNativeAddon({ ...loaded, reason: `LOWBIT_ADDON is ${named}: ${loaded.reason}` }, false);
  }
  const built = loadBuilt();
  if (built && !('reason' in built)) return built;
  const installed = loadPlatformPackage();
  if (!('reason' in installed)) return installed;
  throw new NoNativeAddon(built ?? installed, platformPackage() !== undefined);
}

/** The native engine is not there; `expected` where it could be. */
export class NoNativeAddon extends LowbitError {
  constructor(
    { reason, remedy = '', cause }: Failure,
    readonly expected: boolean,
  ) {
    const text = `The native engine of tfjs-lowbit is not available: ${reason}\n${remedy}`.trim();
    super('engine-unavailable', text, { cause });
  }
}
