/** Takes an encoded program apart, as far as every op's record goes alike: its parameters stay words, but for filters. */
import { type OpKind, type TensorType, WeightFormat } from './program';

export const HEADER_WORDS = 8;

export interface ProgramTensor {
  readonly words: readonly number[];
  readonly type: TensorType;
  /** -1 for a dimension that is known only when the program is planned. */
  readonly shape: readonly number[];
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface ProgramOp {
  readonly kind: OpKind;
  readonly name: string;
  /** Numbers of tensors. */
  readonly inputs: readonly number[];
  readonly results: readonly number[];
  readonly parameters: readonly number[];
  /** The whole record. */
  readonly words: readonly number[];
}

export interface ProgramRecords {
  readonly inputs: number[];
  readonly outputs: number[];
  readonly tensors: readonly ProgramTensor[];
  readonly ops: readonly ProgramOp[];
}

/** Reads words one after another. */
class Cursor {
  constructor(
    private readonly words: Int32Array,
    private at: number,
  ) {}

  take(count: number): number[] {
    this.at += count;
    return Array.from(this.words.subarray(this.at - count, this.at));
  }

  /** A count, and as many words. */
  list(): number[] {
    const [count] = this.take(1);
    return this.take(count);
  }

  rest(): number[] {
    return this.take(this.words.length - this.at);
  }
}

function readTensor(cursor: Cursor): ProgramTensor {
  const head = cursor.take(4);
  const [type, rank, scaleBits, zeroPoint] = head;
  const scale = new Float32Array(Int32Array.of(scaleBits).buffer)[0];
  const shape = cursor.take(rank);
  return { words: [...head, ...shape], type, shape, scale, zeroPoint };
}

function readOp(cursor: Cursor): ProgramOp {
  const [kind, recordWords] = cursor.take(2);
  const words = cursor.take(recordWords - 2);
  const body = new Cursor(Int32Array.from(words), 0);
  const [nameBytes] = body.take(1);
  const name = new TextDecoder().decode(
    new Uint8Array(Int32Array.from(body.take(Math.ceil(nameBytes / 4))).buffer, 0, nameBytes),
  );
  return {
    kind,
    name,
    inputs: body.list(),
    results: body.list(),
    parameters: body.rest(),
    words: [kind, recordWords, ...words],
  };
}

/** @param program words as `encodeProgram` makes them */
export function readProgram(program: Int32Array): ProgramRecords {
  const [, , , tensorCount, opCount, inputCount, outputCount] = program;
  const cursor = new Cursor(program, HEADER_WORDS);
  return {
    inputs: cursor.take(inputCount),
    outputs: cursor.take(outputCount),
    tensors: Array.from({ length: tensorCount }, () => readTensor(cursor)),
    ops: Array.from({ length: opCount }, () => readOp(cursor)),
  };
}

/** How a filter is stored. */
export interface StoredFilter {
  readonly format: WeightFormat;
  /** Of low-bit formats: inputs that share a scale; 0: all of a row. */
  readonly group?: number;
}

/**
 * The words that the parameters of an op with a filter begin with.
 *
 * @returns the filter, and the parameters after it
 */
export function readFilter(parameters: readonly number[]): {
  filter: StoredFilter;
  rest: readonly number[];
} {
  const [, , , format, , group] = parameters;
  return format === WeightFormat.Int8 || format === WeightFormat.Int16
    ? { filter: { format }, rest: parameters.slice(4) }
    : { filter: { format, group }, rest: parameters.slice(7) };
}
