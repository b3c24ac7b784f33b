/**
 * The interface of both engines, native and WebAssembly, to the kernels and to the paging of experts.
 * Nothing outside src/runtime and the entries knows which engine runs.
 */
import type { AffineParams } from '../program/affine-params';
import type { ExpertShape, LowBitFormat, Rotation, RouterNumbers } from '../program/program';

/** The name of an instruction set; the engine lists those available (`supportedIsas`). */
export type Isa = string;

export type TensorData = Float32Array | Int32Array;

/** In bytes. */
export interface MemoryBytes {
  /** Packed weights. */
  readonly weights: number;
  /** Arenas and scratch of the cached plans. */
  readonly arena: number;
  /** What `arena` would be if no two intermediate tensors shared memory. */
  readonly withoutReuse: number;
}

/** A compiled program: weights packed for the chosen ISA. Not shared between threads; freed by `dispose()`. */
export interface CompiledProgram {
  /** The program, as `encodeProgram` wrote it. */
  readonly words: Int32Array;
  /**
   * Plans (once per combination of input shapes; plans are cached) and returns the shapes of the outputs.
   *
   * @throws LowbitError 'invalid-shape' naming the op and the shapes
   */
  outputShapes(inputShapes: readonly (readonly number[])[]): number[][];
  /**
   * Runs the program on inputs of the given shapes.
   *
   * @param inputs float32 or int32 data by the program's input types, row-major
   * @param outputs written in place, of the sizes that `outputShapes` returns
   */
  run(
    inputShapes: readonly (readonly number[])[],
    inputs: readonly TensorData[],
    outputs: readonly TensorData[],
  ): void;
  /** Starts to measure the time of each op, summed over the runs that follow. */
  startProfile(): void;
  /**
   * Stops measuring. Nanoseconds by op in the program's order; the time of a fused op counts for the op it is fused
   * into.
   */
  endProfile(): { runs: number; opNanoseconds: number[] };
  /** Native memory held. */
  readonly memoryBytes: MemoryBytes;
  /** Frees the native memory now; further calls throw. Safe to call twice. */
  dispose(): void;
}

/** Peak rates of the machine, per second. */
export interface MachineLimits {
  /** Multiply-accumulates of int8. */
  readonly macs: number;
  /** Bytes read from the second level of cache. */
  readonly l2Bytes: number;
  /** Bytes read from memory. */
  readonly dramBytes: number;
  /** Bytes written to the second level of cache. */
  readonly l2Stores: number;
  /** Bytes written to memory, past the caches. */
  readonly dramStores: number;
}

/** Rows to rotate; see `Rotation` of program.ts. */
export interface RowRotation extends Rotation {
  rows: number;
}

export interface RouteCall {
  /** [tokens, experts], row-major. */
  readonly logits: Float32Array;
  readonly tokens: number;
  /** [experts], added to the scores when experts are ranked. */
  readonly bias?: Float32Array;
  /** [experts], not 0 where resident. */
  readonly resident?: Int32Array;
  /** [tokens, topK], written: the experts of each token with falling score. */
  readonly ids: Int32Array;
  /** [tokens, topK], written: their gate weights. */
  readonly weights: Float32Array;
  /** One number, written: the mean over the tokens of the greatest score less the least. */
  readonly meanRange?: Float32Array;
}

export interface ExpertCall {
  /** [tokens, width]. */
  readonly x: Float32Array;
  readonly rows: Int32Array;
  /** One for each of `rows`. */
  readonly weights: Float32Array;
  /** Where the result of each of `rows` goes. */
  readonly outRows: Int32Array;
  /** [.., width]. */
  readonly out: Float32Array;
}

/** Where the bytes of an expert lie in a file, and their CRC-32. */
export interface ExpertRange {
  readonly offset: number;
  readonly bytes: number;
  readonly crc: number;
}

/** An open file of experts. */
export interface ExpertReader {
  /**
   * Reads an expert and checks its CRC-32; does not block the calling thread.
   *
   * @param into whole pages, at least `range.bytes` bytes; bytes after those are undefined afterwards
   * @throws LowbitError 'invalid-weights' if the bytes are not those that were written, 'io' if they cannot be read
   */
  read(range: ExpertRange, into: Uint8Array): Promise<void>;
  /** The same, blocking; absent where the engine cannot block. */
  readNow?(range: ExpertRange, into: Uint8Array): void;
  /** Closes the file once the reads under way are done; further reads fail. Safe to call twice. */
  close(): void;
}

/** A matrix of 2, 3 or 4 bits a number, stored as `WeightFormat` and `LowBitFilterRef` define. */
export interface PackedMatrix {
  storage: LowBitFormat;
  rows: number;
  depth: number;
  group: number;
  unit: number;
  /** 16 of them. */
  levels: Int8Array;
  /** Bytes, as they lie in the array. */
  codes: Uint8Array | Int32Array;
  /** Bits of float16, as they lie in the array. */
  scales: Uint16Array | Int32Array;
}

/** Weights that are read piece by piece, so that they need not lie in memory as a whole. */
export interface WeightReader {
  readonly byteLength: number;
  /** Fills an array with the bytes from an offset on. */
  read(offset: number, into: Uint8Array): void;
  /** Called when a program was compiled from the weights. */
  compiled(): void;
}

/** What the relaxed dot product makes of codes of 8 bits (native/isa/wasmrelaxed/dot.h); only the first two are exact. */
export type DotForm = 'signed' | 'unsigned' | 'saturating';

export interface Engine {
  readonly kind: 'native' | 'wasm';
  /** The ISA in use. */
  readonly isa: Isa;
  /** Of the ISA wasmrelaxed: which dot product this machine has. One that saturates is not used. */
  readonly dotForm?: DotForm;
  /** ISAs that this machine can run, fastest last. */
  readonly supportedIsas: readonly Isa[];
  threads: number;
  /** Of `threads` those that compute now: fewer where they are still being started, or cannot be. */
  readonly activeThreads: number;
  /**
   * Bytes that a program may take for intermediate tensors, scratch and outputs of one combination of input shapes; more
   * is refused before it is allocated. Default: half of the memory of the machine, or of its container.
   */
  maxMemory: number;
  /**
   * Validates a program completely and packs its weights.
   *
   * @param program words as `encodeProgram` makes them
   * @param weights the blob that the program's offsets point into, or what reads it; not kept
   * @throws LowbitError 'invalid-program' or 'unsupported-version', or as `weights` when it reads
   */
  compile(program: Int32Array, weights: Int32Array | WeightReader): CompiledProgram;
  /**
   * Writes the numbers of a matrix [rows, depth].
   *
   * @param out float32 numbers; or their int8 codes, clamp(round(number / scale) + zeroPoint), one an element
   * @param params scale and zero point of the codes
   * @throws LowbitError 'invalid-argument' naming what is wrong with the matrix
   */
  dequantize(matrix: PackedMatrix, out: Float32Array | Int8Array | Int32Array, params?: AffineParams): void;
  /**
   * Rotates rows in place.
   *
   * @param values [rows, depth]
   * @throws LowbitError 'invalid-argument'
   */
  hadamard(values: Float32Array, rotation: RowRotation): void;
  /**
   * Chooses the experts of tokens, as native/moe/route.h defines it.
   *
   * @throws LowbitError 'invalid-argument' for numbers out of range, or for a row of the logits without any score
   *   (named)
   */
  route(router: RouterNumbers, call: RouteCall): void;
  /**
   * Runs an expert on some rows: out[outRows[i]] = weights[i] * expert(x[rows[i]]).
   *
   * @param bytes as `packExpert` made them
   * @throws LowbitError 'invalid-argument' if the bytes are no expert of this shape, or a row is not there
   */
  runExpert(shape: ExpertShape, bytes: Uint8Array, call: ExpertCall): void;
  /**
   * Reserves zeroed memory that experts are read into.
   *
   * @returns page-aligned where the engine reads past a page cache and the runtime takes memory of native code
   * @throws LowbitError 'out-of-memory'
   */
  allocatePages(bytes: number): ArrayBuffer;
  /**
   * Opens a file of experts (see src/moe/store/container.ts).
   *
   * @param options.direct reads past the page cache of the operating system
   * @throws LowbitError 'io' if the file cannot be opened, or not past the page cache
   */
  openExperts(path: string, options: { direct: boolean }): ExpertReader;
  /**
   * Measures the peak rates of the machine with the engine's ISA and number of threads; takes about a quarter of a
   * second.
   */
  measureLimits(): MachineLimits;
}
