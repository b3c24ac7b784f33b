/** From float32 to a low-bit matrix. */
import { checkArgument } from '../../base/errors';
import { filterRowBytes, WeightFormat } from '../../program/program';
import { CodebookEncoder } from './codebook';
import { encodeWithFeedback, type Hessian } from './error-feedback';
import { type Format, type FormatName, GROUP_MULTIPLE, groupsOf, LEVELS, type LowBitMatrix } from './format';
import { ScaleCoder } from './group-scale';
import { packRow } from './packing';
import { isPi, piStep } from './pi';
import { refitScales } from './refit-scales';
import { formatNamed } from './registry';
import { TrellisEncoder } from './trellis-encoder';

export interface EncodeOptions {
  /** Inputs that share a scale: a multiple of 32, or 0 for the whole row. Default: 128. */
  group?: number;
  /** Divisor of pi in the pi formats: 2, 3, 4 or 5. Default: 3 at 2 bits, 4 at 3. */
  k?: number;
  /** [depth]: what the squared error of each input counts, its mean square in calibration data. Default: all alike. */
  importance?: Float32Array | Float64Array;
  /**
   * [depth][depth]: the mean of x x^T over calibration data, for error feedback.
   * Takes the place of `importance`, which is its diagonal.
   */
  hessian?: Hessian;
}

const DEFAULT_GROUP = 128;

/** Of the mean importance: the least that an input gets, so that one that was never seen still has sensible weights. */
const MIN_IMPORTANCE = 1e-6;

function checkCounts(values: Float32Array, rows: number, depth: number, group: number): void {
  for (const [name, count] of Object.entries({ rows, depth })) {
    checkArgument(Number.isSafeInteger(count) && count > 0, name, 'a positive integer', count);
  }
  checkArgument(values.length === rows * depth, 'the length of values', `${rows} x ${depth}`, values.length);
  checkArgument(
    Number.isSafeInteger(group) && group >= 0 && group % GROUP_MULTIPLE === 0,
    'group',
    `0 or a multiple of ${GROUP_MULTIPLE}`,
    group,
  );
}

/** @returns the largest |w| */
function largest(values: Float32Array): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]);
    if (!Number.isFinite(magnitude)) checkArgument(false, `values[${i}]`, 'a finite number', values[i]);
    if (magnitude > max) max = magnitude;
  }
  return max;
}

function importanceOf(depth: number, given: EncodeOptions['importance']): Float64Array {
  if (given === undefined) return new Float64Array(depth).fill(1);
  checkArgument(given.length === depth, 'the length of importance', `${depth}`, given.length);
  const bad = given.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY));
  checkArgument(bad < 0, `importance[${bad}]`, 'a finite number of at least 0', given[bad]);
  const importance = Float64Array.from(given);
  const mean = importance.reduce((sum, value) => sum + value, 0) / depth;
  return importance.map((value) => (mean > 0 ? value / mean + MIN_IMPORTANCE : 1));
}

function emptyMatrix(format: Format, rows: number, depth: number, group: number, unit: number): LowBitMatrix {
  const levels = new Int8Array(LEVELS);
  levels.set(format.levels);
  return {
    format: format.name,
    storage: format.storage,
    rows,
    depth,
    group,
    unit,
    levels,
    codes: new Uint8Array(rows * filterRowBytes(format.storage, depth)),
    scales: new Uint16Array(rows * groupsOf({ depth, group })),
  };
}

/**
 * Stores a matrix in 2, 3 or 4 bits per weight, with the least squared error that the format allows.
 *
 * @param name the format
 * @param values [rows][depth], finite
 * @param rows output channels
 * @param depth inputs
 * @throws LowbitError 'invalid-argument' naming the argument that is wrong
 */
export function encodeMatrix(
  name: FormatName,
  values: Float32Array,
  rows: number,
  depth: number,
  options: EncodeOptions = {},
): LowBitMatrix {
  const { group = DEFAULT_GROUP, k } = options;
  const format = formatNamed(name);
  checkCounts(values, rows, depth, group);
  checkArgument(k === undefined || isPi(format), 'k', `none for ${name}, which has no divisor,`, k);
  const importance = importanceOf(depth, options.importance);
  const scales = new ScaleCoder(isPi(format) ? piStep(format, k) : 1, largest(values));
  const matrix = emptyMatrix(format, rows, depth, group, scales.unit);
  const encoder =
    format.storage === WeightFormat.Trellis2
      ? new TrellisEncoder(format, depth, scales)
      : new CodebookEncoder(format, group === 0 ? depth : Math.min(group, depth), scales);
  const bytes = filterRowBytes(format.storage, depth);
  const pack = (row: number, codes: Uint8Array) => packRow(format.bits, codes, matrix.codes, row * bytes);
  if (options.hessian === undefined) encodeRows(encoder, values, matrix, importance, pack);
  else {
    encodeWithFeedback(encoder, values, matrix, options.hessian, (scale) => scales.step(scale), pack);
    refitScales(matrix, values, options.hessian, scales);
  }
  return matrix;
}

function encodeRows(
  encoder: CodebookEncoder | TrellisEncoder,
  values: Float32Array,
  { rows, depth, group, scales }: LowBitMatrix,
  importance: Float64Array,
  pack: (row: number, codes: Uint8Array) => void,
): void {
  const groups = groupsOf({ depth, group });
  const codes = new Uint8Array(depth);
  for (let row = 0; row < rows; row++) {
    const rowScales = scales.subarray(row * groups, (row + 1) * groups);
    encoder.encodeRow(values.subarray(row * depth, (row + 1) * depth), importance, group, rowScales, codes);
    pack(row, codes);
  }
}
