/** What must hold of a low-bit matrix before it is read: it may come from a file. */
import { LowbitError } from '../../base/errors';
import { filterRowBytes } from '../../program/program';
import { type Format, GROUP_MULTIPLE, groupsOf, LEVELS, type LowBitMatrix, MAX_LEVEL } from './format';
import { scaleOfBits } from './group-scale';
import { formatNamed } from './registry';

function check({ format }: LowBitMatrix, ok: boolean, message: () => string): void {
  if (!ok) throw new LowbitError('invalid-weights', `Matrix of format ${format}: ${message()}`);
}

function checkLength(matrix: LowBitMatrix, name: 'codes' | 'scales' | 'levels', expected: number): void {
  const { length } = matrix[name];
  check(
    matrix,
    length === expected,
    () =>
      `expected ${expected} ${name === 'codes' ? 'bytes of codes' : name} for ${matrix.rows} x ${matrix.depth} ` +
      `weights in groups of ${matrix.group} but found ${length}.`,
  );
}

/**
 * Checks all but the scales, in constant time.
 *
 * @throws LowbitError 'invalid-weights' naming what is wrong and what was expected
 */
export function checkLayout(matrix: LowBitMatrix): Format {
  const format = formatNamed(matrix.format);
  const { rows, depth, group, unit, storage, levels } = matrix;
  check(
    matrix,
    storage === format.storage,
    () => `expected storage ${format.storage} (${format.bits} bits) but found ${storage}.`,
  );
  for (const [name, count] of Object.entries({ rows, depth })) {
    check(
      matrix,
      Number.isSafeInteger(count) && count > 0,
      () => `expected a positive integer for ${name} but found ${count}.`,
    );
  }
  check(
    matrix,
    Number.isSafeInteger(group) && group >= 0 && group % GROUP_MULTIPLE === 0,
    () => `expected group 0 or a multiple of ${GROUP_MULTIPLE} but found ${group}.`,
  );
  check(
    matrix,
    unit > 0 && unit < Number.POSITIVE_INFINITY,
    () => `expected a positive finite unit but found ${unit}.`,
  );
  checkLength(matrix, 'levels', LEVELS);
  const wrong = levels.findIndex((level) => Math.abs(level) > MAX_LEVEL);
  check(
    matrix,
    wrong < 0,
    () => `expected levels of at most ${MAX_LEVEL} but level ${wrong} is ${levels[wrong]}.`,
  );
  checkLength(matrix, 'codes', rows * filterRowBytes(format.storage, depth));
  checkLength(matrix, 'scales', rows * groupsOf(matrix));
  return format;
}

/**
 * Checks one scale.
 *
 * @throws LowbitError 'invalid-weights' naming row and group of a scale that is NaN or infinite
 */
export function checkScale(matrix: LowBitMatrix, index: number): void {
  const scale = scaleOfBits(matrix.scales[index]);
  const groups = groupsOf(matrix);
  check(
    matrix,
    scale >= 0 && scale < Number.POSITIVE_INFINITY,
    () =>
      `the scale of row ${Math.floor(index / groups)}, group ${index % groups} is ${scale}; ` +
      'expected a finite number of at least 0.',
  );
}
