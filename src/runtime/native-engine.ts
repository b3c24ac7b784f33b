/** The engine in Node.js: compiled programs run in the Node-API addon. */
import { toNamespacedPath } from 'node:path';
import { checkArgument, LowbitError, type LowbitErrorCode } from '../base/errors';
import { newExpertShape, newRouterNumbers, writeExpertShape, writeRouterNumbers } from '../program/program';
import type {
  CompiledProgram,
  Engine,
  ExpertRange,
  ExpertReader,
  Isa,
  MemoryBytes,
  TensorData,
  WeightReader,
} from './engine';
import {
  checkHadamard,
  checkMaxMemory,
  checkThreads,
  disposedError,
  matrixNumbersOf,
} from './engine-arguments';
import { type ExpertReaderAddon, loadNativeAddon, type NativeAddon } from './native-addon';
import { decodeShapes, LastShapes, type Shapes } from './shapes';

/** Errors of the addon carry one of our codes. */
function lowbitError(error: unknown): unknown {
  const { code, message } = error as { code?: LowbitErrorCode; message: string };
  return code === undefined ? error : new LowbitError(code, message);
}

/** Runs a call into the addon. */
function rethrow<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw lowbitError(error);
  }
}

const CHUNK_BYTES = 2 ** 20;

function compileFrom(addon: NativeAddon, program: Int32Array, weights: WeightReader, isa?: Isa): unknown {
  const chunk = new Uint8Array(Math.max(1, Math.min(CHUNK_BYTES, weights.byteLength)));
  const read = (offset: number, bytes: number) => weights.read(offset, chunk.subarray(0, bytes));
  // A copy: reading may move the memory of a TF.js backend, where the words may lie.
  const handle = addon.compileFrom(program.slice(), weights.byteLength, read, chunk, isa);
  weights.compiled();
  return handle;
}

class NativeProgram implements CompiledProgram {
  readonly words: Int32Array;
  private handle: unknown;
  private readonly last = new LastShapes();

  constructor(
    private readonly addon: NativeAddon,
    program: Int32Array,
    weights: Int32Array | WeightReader,
    isa: Isa | undefined,
  ) {
    this.handle = rethrow(() =>
      ArrayBuffer.isView(weights)
        ? addon.compile(program, weights, isa)
        : compileFrom(addon, program, weights, isa),
    );
    // A copy: the words may lie in the memory of a TF.js backend, which moves.
    this.words = program.slice();
  }

  outputShapes(inputShapes: Shapes): number[][] {
    this.live();
    const call = this.last.of(inputShapes);
    call.outputs ??= decodeShapes(rethrow(() => this.addon.outputShapes(this.live(), call.words)));
    return call.outputs;
  }

  run(inputShapes: Shapes, inputs: readonly TensorData[], outputs: readonly TensorData[]): void {
    const { words } = this.last.of(inputShapes);
    rethrow(() => this.addon.run(this.live(), words, inputs, outputs));
  }

  startProfile(): void {
    this.addon.startProfile(this.live());
  }

  endProfile(): { runs: number; opNanoseconds: number[] } {
    const [runs, ...opNanoseconds] = this.addon.endProfile(this.live());
    return { runs, opNanoseconds };
  }

  get memoryBytes(): MemoryBytes {
    const held = this.handle === undefined ? [0, 0, 0] : this.addon.memory(this.handle);
    const [weights, arena, withoutReuse] = held;
    return { weights, arena, withoutReuse };
  }

  dispose(): void {
    if (this.handle === undefined) return;
    this.addon.dispose(this.handle);
    this.handle = undefined;
  }

  private live(): unknown {
    if (this.handle === undefined) {
      throw disposedError();
    }
    return this.handle;
  }
}

// Reused: allocating a small array costs more than the call that reads it.
const routerNumbers = newRouterNumbers();
const expertShape = newExpertShape();

class NativeExpertReader implements ExpertReader {
  private readonly handle: unknown;

  constructor(
    private readonly addon: ExpertReaderAddon,
    path: string,
    direct: boolean,
  ) {
    this.handle = rethrow(() => addon.openExperts(path, direct));
  }

  async read({ offset, bytes, crc }: ExpertRange, into: Uint8Array): Promise<void> {
    try {
      await this.addon.readExpert(this.handle, offset, bytes, crc, into);
    } catch (error) {
      throw lowbitError(error);
    }
  }

  readNow({ offset, bytes, crc }: ExpertRange, into: Uint8Array): void {
    rethrow(() => this.addon.readExpertNow(this.handle, offset, bytes, crc, into));
  }

  close(): void {
    this.addon.closeExperts(this.handle);
  }
}

/**
 * Creates the engine on the native addon.
 *
 * @param options.isa instruction set of the programs it compiles; default: `LOWBIT_ISA`, or the fastest there is
 * @throws LowbitError 'engine-unavailable' if the addon was not built, 'invalid-argument' for an ISA that this machine
 *   lacks
 */
export function createNativeEngine(options: { isa?: Isa } = {}): Engine {
  const addon = loadNativeAddon();
  const supportedIsas = addon.instructionSets().filter((name) => addon.supports(name));
  const isa = options.isa ?? rethrow(() => addon.isa());
  checkArgument(supportedIsas.includes(isa), 'isa', `one of ${supportedIsas.join(', ')}`, isa);
  return {
    kind: 'native',
    isa,
    supportedIsas,
    get threads() {
      return addon.threads();
    },
    get activeThreads() {
      return addon.threads();
    },
    set threads(count: number) {
      checkThreads(count);
      addon.setThreads(count);
    },
    get maxMemory() {
      return addon.maxMemory();
    },
    set maxMemory(bytes: number) {
      checkMaxMemory(bytes);
      addon.setMaxMemory(bytes);
    },
    compile: (program, weights) => new NativeProgram(addon, program, weights, isa),
    dequantize(matrix, out, affine = { scale: 1, zeroPoint: 0 }) {
      const { levels, codes, scales } = matrix;
      const numbers = matrixNumbersOf(matrix, affine);
      rethrow(() => addon.dequantize(numbers, levels, codes, scales, out, isa));
    },
    hadamard(values, options) {
      checkHadamard(values, options);
      const { rows, depth, block, seed, inverse = false } = options;
      rethrow(() => addon.hadamard(values, rows, depth, block, seed, Number(inverse), isa));
    },
    route(router, { logits, tokens, bias, resident, ids, weights, meanRange }) {
      writeRouterNumbers(routerNumbers, router);
      rethrow(() => addon.route(routerNumbers, logits, tokens, bias, resident, isa, ids, weights, meanRange));
    },
    runExpert(shape, bytes, { x, rows, weights, outRows, out }) {
      writeExpertShape(expertShape, shape);
      rethrow(() => addon.runExpert(expertShape, bytes, x, rows, weights, outRows, out, isa));
    },
    allocatePages: (bytes) => rethrow(() => addon.allocatePages(bytes)),
    openExperts: (path, { direct }) => new NativeExpertReader(addon, toNamespacedPath(path), direct),
    measureLimits() {
      const [macs, l2Bytes, dramBytes, l2Stores, dramStores] = rethrow(() => addon.limits(isa));
      return { macs, l2Bytes, dramBytes, l2Stores, dramStores };
    },
  };
}
