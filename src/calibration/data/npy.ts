/** NumPy arrays as samples. */
import { type FileHandle, open } from 'node:fs/promises';
import { LowbitError } from '../../base/errors';
import { readAt } from '../../base/read-at';
import type { DenseTensor, DType } from '../../graph/ir';
import type { InputSpec, SampleSource } from '../../graph/samples';
import { type NpyArray, parse } from '../../vendor/npyjs';

/** The header of a file, and what it describes. */
interface Layout {
  header: Uint8Array;
  /** Samples. */
  count: number;
  /** Of a sample, without the first axis. */
  shape: number[];
  /** Bytes of a sample. */
  stride: number;
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

/** What tells the length of the header. */
const START_BYTES = 12;

/** Bytes of the header of an array, by its first 12 bytes. */
function headerLength(start: Uint8Array): number {
  if (Buffer.from(start.subarray(0, 6)).toString('latin1') !== '\x93NUMPY')
    throw new Error('it has no NumPy magic');
  const view = new DataView(start.buffer, start.byteOffset);
  return start[6] === 1 ? 10 + view.getUint16(8, true) : 12 + view.getUint32(8, true);
}

/**
 * Bytes that an array has by its header, with it.
 *
 * @param beginning at least its first 12 bytes
 * @returns undefined where the header is longer than the beginning
 */
export function claimedBytes(beginning: Uint8Array): number | undefined {
  if (beginning.length < START_BYTES) return undefined;
  const length = headerLength(beginning);
  if (beginning.length < length) return undefined;
  const { dtype, shape } = decode(beginning.slice(0, length), new Uint8Array(0));
  return shape.reduce((product, dim) => product * dim, bytesOf(dtype)) + length;
}

/**
 * Reads magic, version (2 bytes), length of the text (2 bytes in version 1, 4 later; little-endian) and the text.
 *
 * @see NEP 1, A Simple File Format for NumPy Arrays
 */
async function readHeader(file: FileHandle): Promise<Uint8Array> {
  const length = headerLength(await readAt(file, 0, START_BYTES));
  const { size } = await file.stat();
  if (length > size) throw new Error(`its header needs ${length} bytes but it has ${size}`);
  return readAt(file, 0, length);
}

/** A header with as much data as there is after it; npyjs does not compare that with the shape. */
function decode(header: Uint8Array, data: Uint8Array): NpyArray {
  const whole = new Uint8Array(header.length + data.length);
  whole.set(header);
  whole.set(data, header.length);
  return parse(whole.buffer);
}

/** Of an element, as its dtype says: `f4`. */
function bytesOf(dtype: string): number {
  return Number(dtype.slice(1));
}

async function readLayout(path: string, file: FileHandle): Promise<Layout> {
  let header: Uint8Array;
  let array: NpyArray;
  try {
    header = await readHeader(file);
    array = decode(header, new Uint8Array(0));
  } catch (cause) {
    throw new LowbitError('io', `Cannot read ${path} as .npy: ${(cause as Error).message}.`, { cause });
  }
  const { dtype, fortranOrder } = array;
  if (fortranOrder || !/^([iuf][1248]|b1)$/.test(dtype)) {
    const found = `${dtype}${fortranOrder ? ' in Fortran order' : ''}`;
    throw new LowbitError('io', `${path} holds ${found}; expected real numbers in C order.`);
  }
  if (array.shape.length === 0) {
    throw new LowbitError(
      'invalid-shape',
      `${path} holds a single number; expected samples on the first axis.`,
    );
  }
  const [count, ...shape] = array.shape;
  const stride = shape.reduce((product, dim) => product * dim, bytesOf(dtype));
  const expected = header.length + count * stride;
  const { size } = await file.stat();
  if (size < expected) {
    throw new LowbitError(
      'io',
      `${path} is truncated: ${dtype} of shape [${array.shape}] needs ${expected} bytes but it has ${size}.`,
    );
  }
  return { header, count, shape, stride };
}

/** Whether samples of a shape get an axis for the batch; undefined where they do not fit the input with it or without. */
function batched(shape: readonly number[], expected: readonly number[] | undefined): boolean | undefined {
  const fits = (dims: readonly number[]) =>
    expected?.length === dims.length && dims.every((dim, i) => expected[i] === -1 || expected[i] === dim);
  if (expected === undefined || fits([1, ...shape])) return true;
  return fits(shape) ? false : undefined;
}

function checkFit(path: string, { count, shape }: Layout, { name, shape: expected, dtype }: InputSpec): void {
  if (!(dtype in ARRAYS)) {
    throw new LowbitError('invalid-argument', `Input '${name}' takes ${dtype}, which ${path} cannot hold.`);
  }
  if (batched(shape, expected) !== undefined) return;
  throw new LowbitError(
    'invalid-shape',
    `${path} has shape [${[count, ...shape]}], but input '${name}' is [${expected}] (-1: any).`,
  );
}

function toTensor(dtype: DType, shape: readonly number[], data: ArrayLike<number | bigint>): DenseTensor {
  const kind = dtype as keyof typeof ARRAYS;
  const values = new ARRAYS[kind](data.length);
  for (let i = 0; i < values.length; i++) values[i] = Number(data[i]);
  return { dtype: kind, shape, values };
}

/**
 * The samples of a `.npy` file: its first axis counts them, the others are the input's without its batch. One sample at a
 * time is in memory.
 *
 * @param name what messages call the file
 * @returns a source for models with one input, in that input's dtype
 * @throws LowbitError (while iterating) 'io' for a file that is not a complete .npy of real numbers, 'invalid-shape' where
 *   it does not fit the model
 */
export function npyFile(path: string, name = path): SampleSource {
  return async function* (inputs) {
    if (inputs.length !== 1) {
      throw new LowbitError(
        'invalid-argument',
        `${name} holds one array, but the model has ${inputs.length} inputs.`,
      );
    }
    const [input] = inputs;
    let file: FileHandle;
    try {
      file = await open(path);
    } catch (cause) {
      throw new LowbitError('io', `Cannot read ${name}: ${(cause as Error).message}`, { cause });
    }
    try {
      const layout = await readLayout(name, file);
      checkFit(name, layout, input);
      const { header, count, shape, stride } = layout;
      for (let i = 0; i < count; i++) {
        const bytes = await readAt(file, header.length + i * stride, stride);
        const data = decode(header, bytes).data as unknown as ArrayLike<number | bigint>;
        const dims = batched(shape, input.shape) ? [1, ...shape] : shape;
        yield { [input.name]: toTensor(input.dtype, dims, data) };
      }
    } finally {
      await file.close();
    }
  };
}
