/** What every engine (native addon now, WebAssembly later) offers to the kernels: the C ABI in TypeScript. */
import type { Rotation } from './program';

export type Isa = 'scalar' | 'avx2' | 'avx512vnni' | 'neon' | 'neondot' | 'neoni8mm' | 'wasm';

export type TensorData = Float32Array | Int32Array;

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
   * @param outputs written in place, of the sizes that `outputShapes` tells
   */
  run(
    inputShapes: readonly (readonly number[])[],
    inputs: readonly TensorData[],
    outputs: readonly TensorData[],
  ): void;
  /** Starts to count the time of each op over the runs that follow, from zero. */
  startProfile(): void;
  /** Ends it. Nanoseconds are summed over the runs, by op in the program's order; an op fused into another counts there. */
  endProfile(): { runs: number; opNanoseconds: number[] };
  /** Native memory held, in bytes: packed weights and the arenas of the cached plans. */
  readonly memoryBytes: { weights: number; arena: number };
  /** Frees the native memory now; further calls throw. Safe to call twice. */
  dispose(): void;
}

/** What a machine can do at most, per second. */
export interface MachineLimits {
  /** Multiply-accumulates of int8. */
  readonly macs: number;
  /** Bytes read from the second level of cache. */
  readonly l2Bytes: number;
  /** Bytes read from memory. */
  readonly dramBytes: number;
}

/** Rows to rotate; `Rotation` of program.ts tells what it does. */
export interface RowRotation extends Rotation {
  rows: number;
}

export interface Engine {
  readonly kind: 'native' | 'wasm';
  /** The ISA in use. */
  readonly isa: Isa;
  /** ISAs that this machine can run, fastest last. */
  readonly supportedIsas: readonly Isa[];
  threads: number;
  /**
   * Validates a program completely and packs its weights.
   *
   * @param program words as `encodeProgram` makes them
   * @param weights the blob that the program's offsets point into; not kept
   * @throws LowbitError 'invalid-program' or 'unsupported-version'
   */
  compile(program: Int32Array, weights: Int32Array): CompiledProgram;
  /**
   * Rotates rows in place.
   *
   * @param values [rows, depth]
   * @throws LowbitError 'invalid-argument'
   */
  hadamard(values: Float32Array, rotation: RowRotation): void;
  /** Measures what the machine can do with the engine's ISA and number of threads; takes about a quarter of a second. */
  measureLimits(): MachineLimits;
}
