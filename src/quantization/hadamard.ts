/**
 * The randomised Hadamard transform of blocks, x' = H_b D x / sqrt(b): a rotation, so that W'x' = Wx where the rows of W
 * are rotated as x is. D holds signs drawn from a seed, H_b is the Walsh-Hadamard matrix of b = 2^m. Every rotated weight
 * is a sum of b others with random signs, so weights of any distribution come near to a Gaussian one of one variance.
 *
 * Chee et al. 2023, QuIP; Tseng et al. 2024, QuIP#, section 3.
 */
import { checkArgument } from '../base/errors';

export const ROTATION_BLOCKS = [64, 128, 256] as const;

export interface Rotation {
  /** Largest block: 64, 128 or 256. */
  block: number;
  /** Seed of the signs, an unsigned 32-bit integer. */
  seed: number;
}

/** The finalizer of MurmurHash3: every bit of the argument changes half of the bits of the result. */
function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** @returns -1 or 1 for each of `depth` elements: bit i % 32 of the word floor(i / 32), set means minus */
export function rotationSigns(depth: number, seed: number): Int8Array {
  const signs = new Int8Array(depth);
  for (let i = 0; i < depth; i++) {
    const word = mix((seed + Math.imul(0x9e3779b9, (i >>> 5) + 1)) | 0);
    signs[i] = (word >>> (i & 31)) & 1 ? -1 : 1;
  }
  return signs;
}

/**
 * Cuts `depth` elements into blocks of powers of two: as many full ones as fit, then ever smaller ones (100 with 64: 64,
 * 32, 4).
 */
export function rotationBlocks(depth: number, block: number): number[] {
  checkArgument(
    (ROTATION_BLOCKS as readonly number[]).includes(block),
    'block',
    `one of ${ROTATION_BLOCKS.join(', ')}`,
    block,
  );
  const blocks: number[] = [];
  let size = block;
  for (let rest = depth; rest > 0; rest -= size) {
    while (size > rest) size /= 2;
    blocks.push(size);
  }
  return blocks;
}

/** The butterflies a + b, a - b at strides 1, 2, 4, ..., in place. */
function transform(values: Float32Array, start: number, size: number): void {
  for (let stride = 1; stride < size; stride *= 2) {
    for (let pair = start; pair < start + size; pair += 2 * stride) {
      for (let i = pair; i < pair + stride; i++) {
        const a = values[i];
        const b = values[i + stride];
        values[i] = a + b;
        values[i + stride] = a - b;
      }
    }
  }
}

function rotated(
  values: Float32Array,
  rows: number,
  depth: number,
  { block, seed }: Rotation,
  each: (row: Float32Array, blocks: readonly number[], signs: Int8Array) => void,
): Float32Array {
  checkArgument(values.length === rows * depth, 'the length of values', `${rows} x ${depth}`, values.length);
  checkArgument(seed >>> 0 === seed, 'seed', 'an unsigned 32-bit integer', seed);
  const blocks = rotationBlocks(depth, block);
  const signs = rotationSigns(depth, seed);
  const result = values.slice();
  for (let row = 0; row < rows; row++) each(result.subarray(row * depth, (row + 1) * depth), blocks, signs);
  return result;
}

function flip(row: Float32Array, signs: Int8Array): void {
  for (let i = 0; i < row.length; i++) row[i] *= signs[i];
}

function transformBlocks(row: Float32Array, blocks: readonly number[]): void {
  let start = 0;
  for (const size of blocks) {
    transform(row, start, size);
    const factor = Math.fround(1 / Math.sqrt(size));
    for (let i = start; i < start + size; i++) row[i] *= factor;
    start += size;
  }
}

/**
 * Rotates every row: signs, butterflies, one multiplication, each in float32.
 *
 * @param values [rows][depth]
 * @returns a new matrix
 * @throws LowbitError 'invalid-argument' naming the argument that is wrong
 */
export function rotateRows(
  values: Float32Array,
  rows: number,
  depth: number,
  rotation: Rotation,
): Float32Array {
  return rotated(values, rows, depth, rotation, (row, blocks, signs) => {
    flip(row, signs);
    transformBlocks(row, blocks);
  });
}

/** The inverse of `rotateRows`, its transpose: D H_b / sqrt(b), as H_b is symmetric. */
export function rotateRowsBack(
  values: Float32Array,
  rows: number,
  depth: number,
  rotation: Rotation,
): Float32Array {
  return rotated(values, rows, depth, rotation, (row, blocks, signs) => {
    transformBlocks(row, blocks);
    flip(row, signs);
  });
}
