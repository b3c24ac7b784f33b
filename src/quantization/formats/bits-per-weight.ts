/** What a format costs. */
import { filterRowBytes } from '../../program/program';
import { type FormatName, groupsOf, LEVELS, type LowBitMatrix } from './format';
import { formatNamed } from './registry';

/** Of a matrix: its table of levels, and its unit. */
const MATRIX_BITS = LEVELS * 8 + 32;

const SCALE_BITS = 16;

/** Exact: codes with the bits that fill up a row's last byte, scales, and what the matrix stores once. */
export function bitsPerWeight({
  format,
  rows,
  depth,
  group,
}: Pick<LowBitMatrix, 'rows' | 'depth' | 'group'> & { format: FormatName }): number {
  const codeBits = 8 * filterRowBytes(formatNamed(format).storage, depth);
  return (rows * (codeBits + SCALE_BITS * groupsOf({ depth, group })) + MATRIX_BITS) / (rows * depth);
}
