/** What every engine checks of its arguments. */
import { checkArgument, LowbitError } from '../base/errors';
import { newMatrixNumbers, writeMatrixNumbers } from '../program/program';
import type { Engine } from './engine';

export function checkThreads(count: number): void {
  checkArgument(Number.isInteger(count) && count > 0, 'threads', 'a positive integer', count);
}

export function checkMaxMemory(bytes: number): void {
  checkArgument(bytes > 0 && bytes < 2 ** 63, 'maxMemory', 'a positive number of bytes', bytes);
}

export function checkHadamard(
  values: Float32Array,
  { rows, depth, seed }: Parameters<Engine['hadamard']>[1],
): void {
  checkArgument(values.length === rows * depth, 'values', `${rows} x ${depth} numbers`, values.length);
  checkArgument(seed >>> 0 === seed, 'seed', 'an unsigned 32-bit integer', seed);
}

function checkInt32(name: string, value: number): void {
  checkArgument(value === (value | 0), name, 'a 32-bit integer', value);
}

// Reused: allocating a small array costs more than the call that reads it.
const matrixNumbers = newMatrixNumbers();

/** The numbers of a matrix for `dequantize`, valid until the next call. */
export function matrixNumbersOf(
  { storage, rows, depth, group, unit }: Parameters<Engine['dequantize']>[0],
  { scale, zeroPoint }: { readonly scale: number; readonly zeroPoint: number },
) {
  checkInt32('storage', storage);
  checkInt32('rows', rows);
  checkInt32('depth', depth);
  checkInt32('group', group);
  checkInt32('zeroPoint', zeroPoint);
  writeMatrixNumbers(matrixNumbers, { storage, rows, depth, group, unit, scale, zeroPoint });
  return matrixNumbers;
}

export function disposedError(): LowbitError {
  return new LowbitError('invalid-argument', 'The compiled program was disposed of.');
}
