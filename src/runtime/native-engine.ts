/** The engine in Node.js: compiled programs run in the Node-API addon. */
import { checkArgument, LowbitError, type LowbitErrorCode } from '../base/errors';
import {
  newExpertShape,
  newMatrixNumbers,
  newRouterNumbers,
  writeExpertShape,
  writeMatrixNumbers,
  writeRouterNumbers,
} from '../program/program';
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
import { type ExpertReaderAddon, loadNativeAddon, type NativeAddon } from './native-addon';
import { decodeShapes, encodeShapes, type Shapes, sameShapes } from './shapes';

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
  /** The shapes of the last call, which most often are those of the next. */
  private last: { shapes: Shapes; words: Int32Array; outputs?: number[][] } = {
    shapes: [],
    words: new Int32Array(0),
  };

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
    const call = this.callFor(inputShapes);
    call.outputs ??= decodeShapes(rethrow(() => this.addon.outputShapes(this.live(), call.words)));
    return call.outputs;
  }

  run(inputShapes: Shapes, inputs: readonly TensorData[], outputs: readonly TensorData[]): void {
    const { words } = this.callFor(inputShapes);
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
      throw new LowbitError('invalid-argument', 'The compiled program was disposed of.');
    }
    return this.handle;
  }

  private callFor(shapes: Shapes) {
    if (!sameShapes(shapes, this.last.shapes)) {
      this.last = { shapes: shapes.map((shape) => [...shape]), words: encodeShapes(shapes) };
    }
    return this.last;
  }
}

// Reused: allocating a small array costs more than the call that reads it.
const routerNumbers = newRouterNumbers();
const expertShape = newExpertShape();
const matrixNumbers = newMatrixNumbers();

function checkInt32(name: string, value: number): void {
  checkArgument(value === (value | 0), name, 'a 32-bit integer', value);
}

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
    set threads(count: number) {
      checkArgument(Number.isInteger(count) && count > 0, 'threads', 'a positive integer', count);
      addon.setThreads(count);
    },
    get maxMemory() {
      return addon.maxMemory();
    },
    set maxMemory(bytes: number) {
      checkArgument(bytes > 0 && bytes < 2 ** 63, 'maxMemory', 'a positive number of bytes', bytes);
      addon.setMaxMemory(bytes);
    },
    compile: (program, weights) => new NativeProgram(addon, program, weights, isa),
    dequantize(matrix, out, { scale, zeroPoint } = { scale: 1, zeroPoint: 0 }) {
      const { storage, rows, depth, group, unit, levels, codes, scales } = matrix;
      checkInt32('storage', storage);
      checkInt32('rows', rows);
      checkInt32('depth', depth);
      checkInt32('group', group);
      checkInt32('zeroPoint', zeroPoint);
      const numbers = { storage, rows, depth, group, unit, scale, zeroPoint };
      writeMatrixNumbers(matrixNumbers, numbers);
      rethrow(() => addon.dequantize(matrixNumbers, levels, codes, scales, out, isa));
    },
    hadamard(values, { rows, depth, block, seed, inverse = false }) {
      checkArgument(values.length === rows * depth, 'values', `${rows} x ${depth} numbers`, values.length);
      checkArgument(seed >>> 0 === seed, 'seed', 'an unsigned 32-bit integer', seed);
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
    openExperts: (path, { direct }) => new NativeExpertReader(addon, path, direct),
    measureLimits() {
      const [macs, l2Bytes, dramBytes, l2Stores, dramStores] = rethrow(() => addon.limits(isa));
      return { macs, l2Bytes, dramBytes, l2Stores, dramStores };
    },
  };
}
