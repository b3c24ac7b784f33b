/** A WebAssembly module of the engine and its memory: calls of the C ABI (native/include/lowbit.h). */
import { LowbitError, type LowbitErrorCode } from '../base/errors';
import { newMemory, PAGE_BYTES, type WasmMemory, withSharedMemory } from './wasm-memory';
import { type ThreadExports, type WorkerHost, WorkerPool } from './wasm-threads';

/** As much of the host's `WebAssembly` as is used here; TypeScript has it only together with all of the DOM. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  compile(bytes: ArrayBuffer | Uint8Array): Promise<object>;
  compileStreaming(response: Response): Promise<object>;
  Instance: new (module: object, imports: object) => { exports: unknown };
  RuntimeError: new () => Error;
  validate(bytes: Uint8Array): boolean;
};

export interface WasmModule {
  /** A compiled `WebAssembly.Module`. */
  readonly code: object;
  /** Whether it is for shared memory. */
  readonly shared: boolean;
}

/** Addresses and handles are int32 numbers: `>>> 0` makes those beyond 2 GiB positive. */
type Pointer = number;

/** What scripts/build-wasm.js exports. */
interface Exports extends ThreadExports {
  initialize(): void;
  allocate(bytes: number): Pointer;
  release(memory: Pointer): void;
  maxMemory(): number;
  setMaxMemory(bytes: number): void;
  readonly __indirect_function_table: {
    readonly length: number;
    grow(count: number): number;
    set(index: number, value: unknown): void;
  };
  /** `read` is the index of a function in the table. */
  compileFrom(
    program: Pointer,
    words: number,
    read: number,
    bytes: number,
    isa: Pointer,
    out: Pointer,
    error: Pointer,
  ): number;
  lowbit_output_shapes(
    program: Pointer,
    shapes: Pointer,
    words: number,
    out: Pointer,
    capacity: number,
    outWords: Pointer,
    error: Pointer,
  ): number;
  lowbit_run(
    program: Pointer,
    shapes: Pointer,
    words: number,
    inputs: Pointer,
    inputBytes: Pointer,
    inputCount: number,
    outputs: Pointer,
    outputBytes: Pointer,
    outputCount: number,
    error: Pointer,
  ): number;
  lowbit_ops(program: Pointer): number;
  lowbit_output_shape_words(program: Pointer): number;
  lowbit_start_profile(program: Pointer): void;
  lowbit_end_profile(program: Pointer, nanoseconds: Pointer): number;
  /** Writes a lowbit_memory_bytes. */
  lowbit_memory(out: Pointer, program: Pointer): void;
  lowbit_destroy(program: Pointer): void;
  lowbit_supports(isa: Pointer): number;
  lowbit_measure_limits(isa: Pointer, limits: Pointer, error: Pointer): number;
  dequantize(
    numbers: Pointer,
    levels: Pointer,
    codes: Pointer,
    codeBytes: number,
    scales: Pointer,
    scaleBytes: number,
    type: number,
    out: Pointer,
    outBytes: number,
    isa: Pointer,
    error: Pointer,
  ): number;
  hadamard(
    values: Pointer,
    rows: number,
    depth: number,
    block: number,
    seed: number,
    inverse: number,
    isa: Pointer,
    error: Pointer,
  ): number;
  route(
    numbers: Pointer,
    logits: Pointer,
    tokens: number,
    bias: Pointer,
    resident: Pointer,
    isa: Pointer,
    ids: Pointer,
    weights: Pointer,
    meanRange: Pointer,
    error: Pointer,
  ): number;
  runExpert(
    numbers: Pointer,
    bytes: Pointer,
    size: number,
    x: Pointer,
    elements: number,
    rows: Pointer,
    weights: Pointer,
    count: number,
    outRows: Pointer,
    isa: Pointer,
    out: Pointer,
    outElements: number,
    error: Pointer,
  ): number;
}

/** By lowbit_code. */
const CODES: readonly LowbitErrorCode[] = [
  'engine-unavailable',
  'invalid-program',
  'unsupported-version',
  'invalid-shape',
  'invalid-argument',
  'out-of-memory',
];

/** Of lowbit_error: the code, then the message. */
const MESSAGE_BYTES = 1024;

const LESS_MEMORY = 'Use smaller inputs or batches, or dispose of models that are not used.';

const ALIGNMENT = 64;

export const alignUp = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** An array, or how many bytes to leave for one. */
type Part = ArrayBufferView | number;

const bytesOf = (part: Part): number => (typeof part === 'number' ? part : part.byteLength);

function notCompiled(from: string, advice: string, cause: unknown): LowbitError {
  return new LowbitError(
    'engine-unavailable',
    `The WebAssembly engine of tfjs-lowbit cannot be compiled from ${from}: ${(cause as Error).message}\n${advice}`,
    { cause },
  );
}

/**
 * Compiles a module.
 *
 * @param shared whether its memory is shared with workers
 * @param from where its bytes come from
 * @param advice what to do if the host refuses them
 * @throws LowbitError 'engine-unavailable' if they are no module, or one that this host does not know all of
 */
export function compileModule(bytes: Uint8Array, shared: boolean, from: string, advice: string): WasmModule {
  try {
    return { code: new WebAssembly.Module(shared ? withSharedMemory(bytes) : bytes), shared };
  } catch (cause) {
    throw notCompiled(from, advice, cause);
  }
}

/** The same with bytes that arrive: they are compiled meanwhile, where the server gives them the right type. */
export async function compileModuleLater(
  response: Response,
  shared: boolean,
  from: string,
  advice: string,
): Promise<WasmModule> {
  const streams = !shared && response.headers.get('content-type')?.startsWith('application/wasm');
  try {
    if (streams) return { code: await WebAssembly.compileStreaming(response), shared };
    const bytes = new Uint8Array(await response.arrayBuffer());
    return { code: await WebAssembly.compile(shared ? withSharedMemory(bytes) : bytes), shared };
  } catch (cause) {
    throw notCompiled(from, advice, cause);
  }
}

/**
 * Whether the host takes a module of these bytes.
 *
 * @throws LowbitError 'engine-unavailable' if it takes none
 */
export function validates(bytes: Uint8Array): boolean {
  if (typeof WebAssembly === 'undefined') {
    throw new LowbitError(
      'engine-unavailable',
      'This host has no WebAssembly, which tfjs-lowbit needs; a browser may have turned it off (Lockdown Mode of iOS).',
    );
  }
  return WebAssembly.validate(bytes);
}

/** Called with an offset, a number of bytes and where to put them. */
type ReadPiece = (offset: number, bytes: number, into: Pointer) => void;

/** Exports as `f` the function (int32, int32, int32, int32) -> int32 that it imports as `m.f`. */
const PASSING_ON = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 9, 1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f],
  ...[2, 7, 1, 1, 0x6d, 1, 0x66, 0, 0, 7, 5, 1, 1, 0x66, 0, 0],
);

/** A function of the host as one that WebAssembly can call through a table. */
function asWasmFunction(f: (...args: number[]) => number): unknown {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(PASSING_ON), { m: { f } });
  return (exports as { f: unknown }).f;
}

/** Calls the function `f` of a module without imports. */
export function callSmallModule(bytes: Uint8Array): number {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  return (exports as { f(): number }).f();
}

function instantiate(code: object, memory: WasmMemory): Exports {
  try {
    const imports = { env: { memory }, lowbit: { now: () => performance.now() } };
    return new WebAssembly.Instance(code, imports).exports as Exports;
  } catch (cause) {
    // The module has all that it asks for but its memory.
    throw new LowbitError(
      'out-of-memory',
      `The WebAssembly engine cannot be started: ${(cause as Error).message}. ${LESS_MEMORY}`,
      { cause },
    );
  }
}

/** An instance with its own memory. */
export class WasmInstance {
  private exports: Exports;
  /** Where there is shared memory and a host that starts workers. */
  readonly pool: WorkerPool | undefined;
  private ownMemory: WasmMemory;
  /** Address of the name of the instruction set. */
  readonly isa: Pointer;
  private readonly error: Pointer;
  private bytes = new Uint8Array(0);
  /** Where the arguments of a call are laid out, reused by the next. */
  private frame: Pointer = 0;
  private frameBytes = 0;
  /** Index of a function in the table that calls `readPiece`; 0 until it is needed. */
  private reader = 0;
  private readPiece: ReadPiece | undefined;
  private readError: unknown;
  /** A trap left the instance in a state of its own. */
  private broken: Error | undefined;

  /**
   * @param isa a C ABI name of the instruction set that the module's programs are compiled for
   * @param workers how the host starts them; the calling thread computes alone without
   */
  constructor(
    private readonly module: WasmModule,
    isa: string,
    workers?: WorkerHost,
  ) {
    this.ownMemory = newMemory(module.shared);
    this.exports = instantiate(module.code, this.ownMemory);
    this.exports.initialize();
    if (workers !== undefined && module.shared) {
      const allocate = (bytes: number) => this.allocate(bytes);
      this.pool = new WorkerPool(this.exports, module.code, this.ownMemory, workers, allocate);
    }
    this.error = this.allocate(4 + MESSAGE_BYTES);
    this.isa = this.allocate(isa.length + 1);
    this.u8.set([...isa].map((letter) => letter.charCodeAt(0)).concat(0), this.isa);
  }

  get memory(): WasmMemory {
    return this.ownMemory;
  }

  /** All memory; to be had anew after every call, as it moves when it grows. */
  get u8(): Uint8Array {
    const { buffer } = this.memory;
    if (this.bytes.buffer !== buffer) this.bytes = new Uint8Array(buffer);
    return this.bytes;
  }

  i32(address: Pointer, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, length);
  }

  /** @throws LowbitError 'out-of-memory' */
  allocate(bytes: number): Pointer {
    const address = bytes > 0xfff00000 ? 0 : this.exports.allocate(bytes) >>> 0;
    if (address === 0) {
      throw new LowbitError(
        'out-of-memory',
        `The WebAssembly engine has no ${bytes} bytes left: its memory holds ${this.u8.length} bytes and cannot grow so far. ${LESS_MEMORY}`,
      );
    }
    return address;
  }

  release(address: Pointer): void {
    if (this.broken === undefined) this.exports.release(address);
  }

  /**
   * Copies arrays into memory that is valid until the next call of this function.
   *
   * @returns where each of them lies, 64-aligned
   */
  place(parts: readonly Part[]): Pointer[] {
    const total = parts.reduce<number>((sum, part) => sum + alignUp(bytesOf(part)), 0);
    if (total > this.frameBytes) {
      this.release(this.frame);
      this.frame = 0;
      this.frameBytes = 0;
      this.frame = this.allocate(total);
      this.frameBytes = total;
    }
    return this.layOut(this.frame, parts);
  }

  /** Frees the memory of `place`: what a large call left. */
  shrink(): void {
    if (this.frameBytes === 0) return;
    this.release(this.frame);
    this.frame = 0;
    this.frameBytes = 0;
  }

  /** Copies arrays one after the other to an address. */
  layOut(start: Pointer, parts: readonly Part[]): Pointer[] {
    let address = start;
    return parts.map((part) => {
      const own = address;
      if (typeof part !== 'number') this.write(own, part);
      address += alignUp(bytesOf(part));
      return own;
    });
  }

  write(address: Pointer, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
    this.u8.set(new Uint8Array(buffer, byteOffset, byteLength), address);
  }

  read(address: Pointer, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
    new Uint8Array(buffer, byteOffset, byteLength).set(this.u8.subarray(address, address + byteLength));
  }

  /**
   * Calls a function that fills a `lowbit_error`.
   *
   * @throws LowbitError of its code; 'engine-unavailable' after a trap, from then on for every call
   */
  call(body: (exports: Exports, error: Pointer) => number): void {
    this.guard(() => {
      if (body(this.exports, this.error) === 0) return;
      const code = CODES[this.i32(this.error, 1)[0]];
      const start = this.error + 4;
      const message = this.u8.slice(start, this.u8.indexOf(0, start));
      throw new LowbitError(code, new TextDecoder().decode(message));
    });
  }

  /**
   * Compiles a program whose weights are read as its ops need them.
   *
   * @throws what `read` throws, or as `call`
   */
  compileFrom(program: Pointer, words: number, read: ReadPiece, bytes: number, out: Pointer): void {
    const { __indirect_function_table: table } = this.exports;
    if (this.reader === 0) {
      this.reader = table.grow(1);
      table.set(
        this.reader,
        asWasmFunction((_, offset, count, into) => this.pass(offset >>> 0, count >>> 0, into >>> 0)),
      );
    }
    this.readPiece = read;
    this.readError = undefined;
    try {
      this.call((exports, error) =>
        exports.compileFrom(program, words, this.reader, bytes, this.isa, out, error),
      );
    } catch (error) {
      throw this.readError ?? error;
    } finally {
      this.readPiece = undefined;
    }
  }

  /** No error of the host may unwind frames of the module. */
  private pass(offset: number, bytes: number, into: Pointer): number {
    try {
      this.readPiece?.(offset, bytes, into);
      return 0;
    } catch (error) {
      this.readError = error;
      return 1;
    }
  }

  /**
   * Calls what reports no errors, or does so again in memory that has been moved: what it reads there is as it was, what
   * it writes may be written already.
   */
  guard<T>(body: (exports: Exports) => T): T {
    if (this.broken !== undefined) throw this.broken;
    try {
      return body(this.exports);
    } catch (error) {
      if (error instanceof LowbitError) throw error;
      if (this.exports.abandoned() !== 0) {
        this.move();
        // No workers know this memory yet.
        return body(this.exports);
      }
      this.broken = new LowbitError(
        'engine-unavailable',
        `The WebAssembly engine stopped: ${(error as Error).message}. Load the model again, in a new page or process.`,
        { cause: error },
      );
      throw this.broken;
    }
  }
  /** Goes on in a copy of the memory, with addresses as they were. */
  private move(): void {
    const old = this.u8;
    try {
      this.ownMemory = newMemory(true, old.length / PAGE_BYTES);
      this.exports = instantiate(this.module.code, this.ownMemory);
    } catch (error) {
      this.broken = error as LowbitError;
      throw error;
    }
    // Of the new table.
    this.reader = 0;
    this.u8.set(old);
    this.exports.moved();
    this.pool?.move(this.exports, this.ownMemory);
  }
}
