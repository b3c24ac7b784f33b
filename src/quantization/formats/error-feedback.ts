/**
 * Error feedback: codes that compensate for the errors of earlier codes.
 *
 * With H the mean of x x^T over calibration data, a row of weights w and its coding q have an output error of
 * (w - q) H (w - q)^T. For H = V D V^T, V unit upper triangular and D diagonal, that is exactly the sum over inputs k of
 * D_k (t_k - q_k)^2 with t_k = w_k + sum over j < k of (w_j - q_j) V_jk: from left to right, the errors of earlier
 * weights move the target t_k of a weight, and D_k is the importance of its own error.
 *
 * Frantar et al. 2022, GPTQ; Chee et al. 2023, QuIP, section 3 (LDLQ).
 */
import { checkArgument, LowbitError } from '../../base/errors';
import { groupsOf, type LowBitMatrix } from './format';

/** [depth][depth], symmetric, positive semidefinite. */
export type Hessian = Float32Array | Float64Array;

export interface Factors {
  /** V, [depth][depth]; what lies below its diagonal is not read. */
  unit: Float64Array;
  /** D, [depth], positive. */
  diagonal: Float64Array;
}

/** Added to the diagonal, of its mean: what little calibration data says of rare directions is not trusted further. */
const DAMPING = 0.01;

/** Codes that are chosen before the errors are passed on to the rest of the row. */
export const MAX_BLOCK = 128;

/**
 * What is added to the diagonal of a hessian.
 *
 * @param share of the mean of its diagonal
 */
export function dampingOf(hessian: Hessian, depth: number, share = DAMPING): number {
  let trace = 0;
  for (let k = 0; k < depth; k++) trace += hessian[k * depth + k];
  checkArgument(
    Number.isFinite(trace) && trace >= 0,
    'the trace of hessian',
    'a finite number of at least 0',
    trace,
  );
  return trace > 0 ? (share * trace) / depth : 1;
}

/** Columns that are taken out of the rest of the matrix together, so that it is read and written once for all of them. */
const PANEL = 4;

/** Subtracts the products of a panel's columns from what lies before it, in their order: the result is that of one by one. */
function subtractPanel(
  unit: Float64Array,
  depth: number,
  size: number,
  [a, b, c, d]: readonly Float64Array[],
  factors: readonly Float64Array[],
): void {
  for (let i = 0; i < size; i++) {
    const [byA, byB, byC, byD] = [factors[0][i], factors[1][i], factors[2][i], factors[3][i]];
    const row = i * depth;
    for (let j = i; j < size; j++)
      unit[row + j] = unit[row + j] - byA * a[j] - byB * b[j] - byC * c[j] - byD * d[j];
  }
}

/**
 * Factorises a damped Hessian into V D V^T, from its last row and column to the first.
 *
 * @param hessian [depth][depth], symmetric, positive semidefinite
 * @param share of the mean of its diagonal that is added to it
 * @throws LowbitError 'invalid-argument' naming what is wrong with it
 */
export function factorise(hessian: Hessian, depth: number, share = DAMPING): Factors {
  checkArgument(
    hessian.length === depth * depth,
    'the length of hessian',
    `${depth * depth}`,
    hessian.length,
  );
  const unit = new Float64Array(hessian);
  const damping = dampingOf(hessian, depth, share);
  const diagonal = new Float64Array(depth);
  const columns = Array.from({ length: PANEL }, () => new Float64Array(depth));
  const factors = Array.from({ length: PANEL }, () => new Float64Array(depth));
  for (let end = depth; end > 0; end -= PANEL) {
    const start = Math.max(0, end - PANEL);
    for (let k = end - 1; k >= start; k--) {
      const pivot = unit[k * depth + k] + damping;
      if (!(pivot > 0)) {
        throw new LowbitError(
          'invalid-argument',
          `Expected a positive semidefinite hessian but its pivot of input ${k} is ${pivot - damping}.`,
        );
      }
      diagonal[k] = pivot;
      const [column, factor] = [columns[end - 1 - k], factors[end - 1 - k]];
      for (let i = 0; i < k; i++) {
        column[i] = unit[i * depth + k] / pivot;
        factor[i] = column[i] * pivot;
      }
      for (let i = 0; i < k; i++) {
        for (let j = Math.max(i, start); j < k; j++) unit[i * depth + j] -= factor[i] * column[j];
        unit[i * depth + k] = column[i];
      }
    }
    if (start > 0) subtractPanel(unit, depth, start, columns, factors);
  }
  return { unit, diagonal };
}

/** A run of inputs, in coding order. Their codes are chosen before their errors are passed on to the others. */
export interface Block {
  /** Places in the row. */
  inputs: Int32Array;
  /** V of the block, transposed: [k][j]: how far the error of j < k moves k. */
  coupling: Float64Array;
  /** D of the block. */
  diagonal: Float64Array;
}

/** A block of one row. */
export interface BlockOfRow {
  /** Weights moved by the errors of the blocks before. */
  targets: Float64Array;
  weights: Float64Array;
  /** Real units per level. */
  steps: Float64Array;
  /** Of the whole row; those of the block are filled. */
  codes: Uint8Array;
  /** Filled: weight less its decoded value. */
  errors: Float64Array;
}

/** What a format adds to the feedback. */
export interface FeedbackEncoder {
  /** Encodes a row without feedback, each error counting by its importance. */
  encodeRow(
    values: Float32Array,
    importance: Float64Array,
    group: number,
    scales: Uint16Array,
    codes: Uint8Array,
  ): void;

  /** Runs of inputs within which errors may go on to any later one; all inputs in the order in which they are coded. */
  runs(depth: number): Int32Array[];

  /** Chooses the codes of a block, passing errors on within it. */
  encodeBlock(block: Block, row: BlockOfRow): void;
}

/** Cuts runs into blocks; `from` is the place of each block in the order. */
function blocksOf(
  runs: readonly Int32Array[],
  { unit, diagonal }: Factors,
): { from: number; block: Block }[] {
  const blocks: { from: number; block: Block }[] = [];
  const depth = diagonal.length;
  let from = 0;
  for (const run of runs) {
    for (let start = 0; start < run.length; start += MAX_BLOCK) {
      const inputs = run.subarray(start, start + MAX_BLOCK);
      const size = inputs.length;
      const coupling = new Float64Array(size * size);
      for (let k = 0; k < size; k++) {
        for (let j = 0; j < k; j++) coupling[k * size + j] = unit[(from + j) * depth + from + k];
      }
      blocks.push({ from, block: { inputs, coupling, diagonal: diagonal.subarray(from, from + size) } });
      from += size;
    }
  }
  return blocks;
}

/** The hessian with rows and columns in another order. */
function reordered(hessian: Hessian, order: Int32Array): Float64Array {
  const depth = order.length;
  const result = new Float64Array(depth * depth);
  for (let i = 0; i < depth; i++) {
    for (let j = 0; j < depth; j++) result[i * depth + j] = hessian[order[i] * depth + order[j]];
  }
  return result;
}

function emptyBlock(): BlockOfRow {
  const numbers = () => new Float64Array(MAX_BLOCK);
  return {
    targets: numbers(),
    weights: numbers(),
    steps: numbers(),
    errors: numbers(),
    codes: new Uint8Array(),
  };
}

/** Chooses scales as if there were no feedback, where the error of an input counts as much as D says. */
function chooseScales(
  encoder: FeedbackEncoder,
  values: Float32Array,
  group: number,
  order: Int32Array,
  { diagonal }: Factors,
  scales: Uint16Array,
  codes: Uint8Array,
): void {
  const depth = order.length;
  const groups = groupsOf({ depth, group });
  const importance = new Float64Array(depth);
  order.forEach((input, k) => {
    importance[input] = diagonal[k];
  });
  for (let row = 0; row * depth < values.length; row++) {
    const part = <T extends Float32Array | Uint8Array>(whole: T) =>
      whole.subarray(row * depth, (row + 1) * depth) as T;
    const rowScales = scales.subarray(row * groups, (row + 1) * groups);
    encoder.encodeRow(part(values), importance, group, rowScales, part(codes));
  }
}

/** Moves the targets after a block by its errors. */
function passOn(
  errors: Float64Array,
  from: number,
  end: number,
  { unit, diagonal }: Factors,
  targets: Float32Array,
): void {
  const depth = diagonal.length;
  for (let k = from; k < end; k++) {
    const error = errors[k - from];
    const at = k * depth;
    for (let j = end; j < depth; j++) targets[j] += error * unit[at + j];
  }
}

/**
 * Encodes a matrix block by block of inputs, all rows of a block before the next.
 *
 * @param values [rows][depth]
 * @param matrix its scales are filled
 * @param hessian [depth][depth]
 * @param stepOf real units per level of a stored scale
 * @param pack takes the codes of a row, a byte each
 */
export function encodeWithFeedback(
  encoder: FeedbackEncoder,
  values: Float32Array,
  { rows, depth, group, scales }: LowBitMatrix,
  hessian: Hessian,
  stepOf: (scale: number) => number,
  pack: (row: number, codes: Uint8Array) => void,
): void {
  checkArgument(
    hessian.length === depth * depth,
    'the length of hessian',
    `${depth * depth}`,
    hessian.length,
  );
  const groups = groupsOf({ depth, group });
  const runs = encoder.runs(depth);
  const order = Int32Array.from(runs.flatMap((run) => [...run]));
  const factors = factorise(reordered(hessian, order), depth);
  const codes = new Uint8Array(values.length);
  chooseScales(encoder, values, group, order, factors, scales, codes);
  const targets = Float32Array.from(values, (_, i) => values[i - (i % depth) + order[i % depth]]);
  const ofRow = emptyBlock();
  for (const { from, block } of blocksOf(runs, factors)) {
    for (let row = 0; row < rows; row++) {
      const rowTargets = targets.subarray(row * depth, (row + 1) * depth);
      block.inputs.forEach((input, k) => {
        ofRow.targets[k] = rowTargets[from + k];
        ofRow.weights[k] = values[row * depth + input];
        ofRow.steps[k] = stepOf(scales[row * groups + (group === 0 ? 0 : Math.floor(input / group))]);
      });
      ofRow.codes = codes.subarray(row * depth, (row + 1) * depth);
      encoder.encodeBlock(block, ofRow);
      passOn(ofRow.errors, from, from + block.inputs.length, factors, rowTargets);
    }
  }
  for (let row = 0; row < rows; row++) pack(row, codes.subarray(row * depth, (row + 1) * depth));
}
