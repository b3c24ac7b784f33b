/** NumPy arrays as samples. */
import { readFile } from 'node:fs/promises';
import { type NpyArray, parse } from 'npyjs';
import { LowbitError } from '../../errors';
import type { SampleSource } from '../source';

/**
 * The samples of a `.npy` file: its first axis counts them, the others are the input's without its batch.
 *
 * @throws LowbitError (while iterating) 'io' for a file that is not a complete .npy, 'invalid-shape' where it does not fit
 *   the model
 */
export function npyFile(path: string): SampleSource {
  return async function* (inputs) {
    if (inputs.length !== 1) {
      throw new LowbitError(
        'invalid-argument',
        `${path} holds one array, but the model has ${inputs.length} inputs.`,
      );
    }
    const [{ name, shape: expected }] = inputs;
    let array: NpyArray;
    try {
      const file = await readFile(path);
      const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
      array = parse(buffer);
    } catch (cause) {
      throw new LowbitError('io', `Cannot read ${path} as .npy: ${(cause as Error).message}`, { cause });
    }
    if (array.fortranOrder || !/^([iuf][1248]|b1)$/.test(array.dtype)) {
      const found = `${array.dtype}${array.fortranOrder ? ' in Fortran order' : ''}`;
      throw new LowbitError('io', `${path} holds ${found}; expected real numbers in C order.`);
    }
    const data = array.data as unknown as ArrayLike<number | bigint>;
    const [count, ...shape] = array.shape;
    const size = shape.reduce((product, dim) => product * dim, 1);
    if (data.length < count * size) {
      throw new LowbitError(
        'io',
        `${path} is truncated: shape [${array.shape}] needs ${count * size} numbers but it holds ${data.length}.`,
      );
    }
    const fits =
      expected === undefined ||
      (expected.length === array.shape.length &&
        shape.every((dim, i) => expected[i + 1] === -1 || expected[i + 1] === dim));
    if (!fits) {
      throw new LowbitError(
        'invalid-shape',
        `${path} has shape [${array.shape}], but input '${name}' is [${expected}] (-1: any).`,
      );
    }
    for (let i = 0; i < count; i++) {
      const values = Float32Array.from({ length: size }, (_, j) => Number(data[i * size + j]));
      yield { [name]: { dtype: 'float32', shape: [1, ...shape], values } };
    }
  };
}
