/** The engine in WebAssembly: compiled programs run in a module that knows nothing of its host. */
import { checkArgument, LowbitError } from '../base/errors';
import {
  newExpertShape,
  newRouterNumbers,
  TensorType,
  writeExpertShape,
  writeRouterNumbers,
} from '../program/program';
import type {
  CompiledProgram,
  Engine,
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
import { decodeShapes, LastShapes, type Shapes } from './shapes';
import { dotForm } from './wasm-files';
import { alignUp, WasmInstance, type WasmModule } from './wasm-module';
import type { WorkerHost } from './wasm-threads';

/** The memory of a module ends here. */
const MAX_ADDRESS = 2 ** 32 - 1;

/** Frees programs that were dropped without `dispose`. */
const dropped = new FinalizationRegistry<{ instance: WasmInstance; handle: number; buffers: number }>(
  ({ instance, handle, buffers }) => {
    instance.guard((exports) => exports.lowbit_destroy(handle));
    instance.release(buffers);
  },
);

/** Reads pieces of weights into the memory of the module, which never has all of them beside what it makes of them. */
function pieceReader(instance: WasmInstance, weights: Int32Array | WeightReader) {
  if (!ArrayBuffer.isView(weights)) {
    return (offset: number, bytes: number, into: number) =>
      weights.read(offset, instance.u8.subarray(into, into + bytes));
  }
  const { buffer, byteOffset } = weights;
  return (offset: number, bytes: number, into: number) =>
    instance.u8.set(new Uint8Array(buffer, byteOffset + offset, bytes), into);
}

class WasmProgram implements CompiledProgram {
  readonly words: Int32Array;
  /** Of the module: the program, and where its inputs and outputs are laid out; 0 once they are freed. */
  private readonly held: { instance: WasmInstance; handle: number; buffers: number };
  private bufferBytes = 0;
  private readonly last = new LastShapes();

  constructor(
    private readonly instance: WasmInstance,
    program: Int32Array,
    weights: Int32Array | WeightReader,
  ) {
    // A copy: the words may lie in the memory of a TF.js backend, which moves.
    this.words = program.slice();
    try {
      const [words, out] = instance.place([this.words, 4]);
      const read = pieceReader(instance, weights);
      instance.compileFrom(words, program.length, read, weights.byteLength, out);
      this.held = { instance, handle: instance.i32(out, 1)[0], buffers: 0 };
    } finally {
      instance.shrink();
    }
    dropped.register(this, this.held, this);
    if (!ArrayBuffer.isView(weights)) weights.compiled();
  }

  outputShapes(inputShapes: Shapes): number[][] {
    const handle = this.live();
    const call = this.last.of(inputShapes);
    if (call.outputs) return call.outputs;
    const { instance } = this;
    const words = instance.guard((exports) => exports.lowbit_output_shape_words(handle));
    const [shapes, out, count] = instance.place([call.words, 4 * words, 4]);
    instance.call((exports, error) =>
      exports.lowbit_output_shapes(handle, shapes, call.words.length, out, words, count, error),
    );
    call.outputs = decodeShapes([...instance.i32(out, instance.i32(count, 1)[0])]);
    return call.outputs;
  }

  run(inputShapes: Shapes, inputs: readonly TensorData[], outputs: readonly TensorData[]): void {
    const handle = this.live();
    const { words } = this.last.of(inputShapes);
    const { instance } = this;
    instance.pool?.prepare();
    const tensors = [...inputs, ...outputs];
    // Addresses, then sizes, of inputs and then outputs.
    const table = new Int32Array(2 * tensors.length);
    const room = alignUp(table.byteLength) + alignUp(words.byteLength);
    this.reserve(tensors.reduce((sum, { byteLength }) => sum + alignUp(byteLength), room));
    const { buffers } = this.held;
    const [, shapes, ...addresses] = instance.layOut(buffers, [
      table.byteLength,
      words,
      ...inputs,
      ...outputs.map(({ byteLength }) => byteLength),
    ]);
    tensors.forEach(({ byteLength }, i) => {
      table[i] = addresses[i];
      table[tensors.length + i] = byteLength;
    });
    instance.write(buffers, table);
    const sizes = buffers + 4 * tensors.length;
    const first = 4 * inputs.length;
    instance.call((exports, error) =>
      exports.lowbit_run(
        handle,
        shapes,
        words.length,
        buffers,
        sizes,
        inputs.length,
        buffers + first,
        sizes + first,
        outputs.length,
        error,
      ),
    );
    outputs.forEach((output, i) => {
      instance.read(addresses[inputs.length + i], output);
    });
  }

  startProfile(): void {
    const handle = this.live();
    this.instance.guard((exports) => exports.lowbit_start_profile(handle));
  }

  endProfile(): { runs: number; opNanoseconds: number[] } {
    const handle = this.live();
    return this.instance.guard((exports) => {
      const ops = exports.lowbit_ops(handle);
      const [out] = this.instance.place([8 * ops]);
      const runs = exports.lowbit_end_profile(handle, out);
      return { runs, opNanoseconds: [...new Float64Array(this.instance.memory.buffer, out, ops)] };
    });
  }

  get memoryBytes(): MemoryBytes {
    const { handle } = this.held;
    if (handle === 0) return { weights: 0, arena: 0, withoutReuse: 0 };
    const [out] = this.instance.place([3 * 4]);
    this.instance.guard((exports) => exports.lowbit_memory(out, handle));
    const [weights, arena, withoutReuse] = new Uint32Array(this.instance.u8.buffer, out, 3);
    return { weights, arena, withoutReuse };
  }

  dispose(): void {
    const { instance, handle, buffers } = this.held;
    if (handle === 0) return;
    dropped.unregister(this);
    this.held.handle = 0;
    this.held.buffers = 0;
    instance.guard((exports) => exports.lowbit_destroy(handle));
    instance.release(buffers);
  }

  private live(): number {
    if (this.held.handle === 0) {
      throw disposedError();
    }
    return this.held.handle;
  }

  private reserve(bytes: number): void {
    if (bytes <= this.bufferBytes) return;
    this.instance.release(this.held.buffers);
    this.held.buffers = 0;
    this.bufferBytes = 0;
    this.held.buffers = this.instance.allocate(bytes);
    this.bufferBytes = bytes;
  }
}

// Reused: allocating a small array costs more than the call that reads it.
const routerNumbers = newRouterNumbers();
const expertShape = newExpertShape();

function typeOf(out: Float32Array | Int8Array | Int32Array): TensorType {
  if (out instanceof Float32Array) return TensorType.Float32;
  return out instanceof Int8Array ? TensorType.Int8 : TensorType.Int32;
}

/** What an engine is made of that its host has to give. */
export interface WasmHost {
  /** Of the module. */
  readonly isa: Isa;
  /** Of all modules that this host can run, fastest last. */
  readonly supportedIsas: readonly Isa[];
  openExperts(path: string, options: { direct: boolean }): ExpertReader;
  /** Undefined where one thread computes. */
  readonly workers?: WorkerHost;
}

/**
 * Creates the engine on a compiled module. Calls copy their arrays into its memory and out of it.
 *
 * @param module one of those that scripts/build-wasm.js builds
 */
export function createWasmEngine(module: WasmModule, host: WasmHost): Engine {
  // The plain module has the scalar kernels alone.
  const kernels = host.isa === 'wasm' ? 'scalar' : host.isa;
  const instance = new WasmInstance(module, kernels, host.workers);
  const { pool } = instance;
  return {
    kind: 'wasm',
    isa: host.isa,
    dotForm: host.isa === 'wasmrelaxed' ? dotForm() : undefined,
    supportedIsas: host.supportedIsas,
    get threads() {
      return pool?.threads ?? 1;
    },
    set threads(count: number) {
      checkThreads(count);
      if (pool) pool.threads = count;
    },
    get activeThreads() {
      pool?.prepare();
      return pool?.active ?? 1;
    },
    get maxMemory() {
      return instance.guard((exports) => exports.maxMemory() >>> 0);
    },
    set maxMemory(bytes: number) {
      checkMaxMemory(bytes);
      instance.guard((exports) => exports.setMaxMemory(Math.min(Math.ceil(bytes), MAX_ADDRESS)));
    },
    compile(program, weights) {
      pool?.prepare();
      return new WasmProgram(instance, program, weights);
    },
    dequantize(matrix, out, affine = { scale: 1, zeroPoint: 0 }) {
      const { levels } = matrix;
      const matrixNumbers = matrixNumbersOf(matrix, affine);
      checkArgument(levels.length === 16, 'levels', '16 levels', levels.length);
      const [numbers, levelsAt, codes, scales, to] = instance.place([
        matrixNumbers,
        levels,
        matrix.codes,
        matrix.scales,
        out.byteLength,
      ]);
      instance.call((exports, error) =>
        exports.dequantize(
          numbers,
          levelsAt,
          codes,
          matrix.codes.byteLength,
          scales,
          matrix.scales.byteLength,
          typeOf(out),
          to,
          out.byteLength,
          instance.isa,
          error,
        ),
      );
      instance.read(to, out);
    },
    hadamard(values, options) {
      checkHadamard(values, options);
      const { rows, depth, block, seed, inverse = false } = options;
      const [at] = instance.place([values]);
      // In place: a part that was lost could not be computed again.
      const threads = pool?.threads ?? 1;
      if (pool) pool.threads = 1;
      try {
        instance.call((exports, error) =>
          exports.hadamard(at, rows, depth, block, seed, Number(inverse), instance.isa, error),
        );
      } finally {
        if (pool) pool.threads = threads;
      }
      instance.read(at, values);
    },
    route(router, { logits, tokens, bias, resident, ids, weights, meanRange }) {
      const { experts, topK } = router;
      checkArgument(logits.length === tokens * experts, 'logits', `${tokens} x ${experts}`, logits.length);
      for (const [name, chosen] of Object.entries({ ids, weights })) {
        checkArgument(chosen.length === tokens * topK, name, `${tokens} x ${topK} numbers`, chosen.length);
      }
      for (const [name, given] of Object.entries({ bias, resident })) {
        checkArgument(
          given === undefined || given.length === experts,
          name,
          `${experts} numbers`,
          given?.length,
        );
      }
      writeRouterNumbers(routerNumbers, router);
      const [args, from, biasAt, residentAt, idsAt, weightsAt, rangeAt] = instance.place([
        routerNumbers,
        logits,
        bias ?? 0,
        resident ?? 0,
        ids.byteLength,
        weights.byteLength,
        4,
      ]);
      instance.call((exports, error) =>
        exports.route(
          args,
          from,
          tokens,
          bias ? biasAt : 0,
          resident ? residentAt : 0,
          instance.isa,
          idsAt,
          weightsAt,
          meanRange ? rangeAt : 0,
          error,
        ),
      );
      instance.read(idsAt, ids);
      instance.read(weightsAt, weights);
      if (meanRange) instance.read(rangeAt, meanRange.subarray(0, 1));
    },
    runExpert(shape, bytes, { x, rows, weights, outRows, out }) {
      const fits = weights.length === rows.length && outRows.length === rows.length;
      checkArgument(fits, 'rows', 'an expert, and rows with a weight each', rows.length);
      writeExpertShape(expertShape, shape);
      // Rows that are not written keep their values.
      const [args, expert, xAt, rowsAt, weightsAt, outRowsAt, outAt] = instance.place([
        expertShape,
        bytes,
        x,
        rows,
        weights,
        outRows,
        out,
      ]);
      instance.call((exports, error) =>
        exports.runExpert(
          args,
          expert,
          bytes.length,
          xAt,
          x.length,
          rowsAt,
          weightsAt,
          rows.length,
          outRowsAt,
          instance.isa,
          outAt,
          out.length,
          error,
        ),
      );
      instance.read(outAt, out);
    },
    allocatePages(bytes) {
      try {
        return new ArrayBuffer(bytes);
      } catch (cause) {
        throw new LowbitError('out-of-memory', `Could not reserve ${bytes} bytes for experts.`, { cause });
      }
    },
    openExperts: host.openExperts,
    measureLimits() {
      // In memory of its own, which goes with it: the measurement needs much.
      const own = new WasmInstance(module, kernels);
      const [out] = own.place([5 * 8]);
      own.call((exports, error) => exports.lowbit_measure_limits(own.isa, out, error));
      const [macs, l2Bytes, dramBytes, l2Stores, dramStores] = new Float64Array(own.u8.buffer, out, 5);
      return { macs, l2Bytes, dramBytes, l2Stores, dramStores };
    },
  };
}
