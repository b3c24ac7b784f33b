/** From a low-bit matrix to float32. */
import { checkArgument } from '../../base/errors';
import { filterRowBytes, WeightFormat } from '../../program/program';
import { checkLayout, checkScale } from './check-matrix';
import { type Format, groupEnd, groupsOf, type LowBitMatrix, TRELLIS_STRIDE } from './format';
import { scaleOfBits } from './group-scale';
import { readCode, unpackRow } from './packing';

/** Real units per level of a group: the first of the two multiplications. */
function stepOf({ scales, unit }: LowBitMatrix, index: number): number {
  return Math.fround(scaleOfBits(scales[index]) * unit);
}

/** Turns codes into indices of the table of levels, in place. */
function toIndices({ storage }: Format, codes: Uint8Array): void {
  if (storage !== WeightFormat.Trellis2) return;
  for (let k = codes.length - 1; k >= TRELLIS_STRIDE; k--)
    codes[k] = (codes[k] << 2) | codes[k - TRELLIS_STRIDE];
  for (let k = Math.min(codes.length, TRELLIS_STRIDE) - 1; k >= 0; k--) codes[k] <<= 2;
}

/**
 * @returns [rows][depth], exactly what the kernels multiply by
 * @throws LowbitError 'invalid-weights' naming what is wrong with the matrix and where
 */
export function decodeMatrix(matrix: LowBitMatrix): Float32Array {
  const format = checkLayout(matrix);
  const { rows, depth, group, levels } = matrix;
  const groups = groupsOf(matrix);
  const bytes = filterRowBytes(format.storage, depth);
  const values = new Float32Array(rows * depth);
  const indices = new Uint8Array(depth);
  for (let row = 0; row < rows; row++) {
    unpackRow(format.bits, matrix.codes, row * bytes, indices);
    toIndices(format, indices);
    for (let g = 0; g < groups; g++) {
      checkScale(matrix, row * groups + g);
      const step = stepOf(matrix, row * groups + g);
      const end = groupEnd(matrix, g);
      for (let k = g * group; k < end; k++) values[row * depth + k] = levels[indices[k]] * step;
    }
  }
  return values;
}

/**
 * One value, without decoding the others.
 *
 * @throws LowbitError 'invalid-argument' for an index outside; 'invalid-weights' as `decodeMatrix`
 */
export function decodeValue(matrix: LowBitMatrix, row: number, column: number): number {
  const { bits, storage } = checkLayout(matrix);
  const { rows, depth, group, codes, levels } = matrix;
  checkArgument(Number.isInteger(row) && row >= 0 && row < rows, 'row', `0 to ${rows - 1}`, row);
  checkArgument(
    Number.isInteger(column) && column >= 0 && column < depth,
    'column',
    `0 to ${depth - 1}`,
    column,
  );
  const start = row * filterRowBytes(storage, depth);
  let index = readCode(bits, codes, start, column);
  if (storage === WeightFormat.Trellis2) {
    const before = column >= TRELLIS_STRIDE ? readCode(bits, codes, start, column - TRELLIS_STRIDE) : 0;
    index = (index << 2) | before;
  }
  const scale = row * groupsOf(matrix) + (group === 0 ? 0 : Math.floor(column / group));
  checkScale(matrix, scale);
  return Math.fround(levels[index] * stepOf(matrix, scale));
}
