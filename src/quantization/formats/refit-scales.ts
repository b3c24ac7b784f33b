/**
 * The scales of given codes with the least error of the outputs. A row w is coded as the sum of its groups q_g; with a
 * factor r_g for each, (w - sum r_g q_g) H (w - sum r_g q_g)^T is least where, for every g, the sum over h of
 * (q_g H q_h^T) r_h is q_g H w^T.
 */
import { decodeMatrix } from './decode';
import { dampingOf, type Hessian } from './error-feedback';
import { groupEnd, groupsOf, type LowBitMatrix } from './format';
import type { ScaleCoder } from './group-scale';

/** Solves a symmetric positive definite system by elimination; `rows` is [count][count + 1], the right side last. */
function solve(rows: readonly Float64Array[]): Float64Array {
  const count = rows.length;
  for (let i = 0; i < count; i++) {
    for (let below = i + 1; below < count; below++) {
      const factor = rows[below][i] / rows[i][i];
      for (let j = i; j <= count; j++) rows[below][j] -= factor * rows[i][j];
    }
  }
  const solution = new Float64Array(count);
  for (let i = count - 1; i >= 0; i--) {
    let sum = rows[i][count];
    for (let j = i + 1; j < count; j++) sum -= rows[i][j] * solution[j];
    solution[i] = sum / rows[i][i];
  }
  return solution;
}

/** Adds q_g (H + damping I) to `product`. */
function multiply(
  coded: Float32Array,
  start: number,
  end: number,
  hessian: Hessian,
  damping: number,
  product: Float64Array,
): void {
  const depth = product.length;
  for (let i = start; i < end; i++) {
    const value = coded[i];
    if (value === 0) continue;
    const row = i * depth;
    for (let j = 0; j < depth; j++) product[j] += value * hessian[row + j];
    product[i] += damping * value;
  }
}

/** The factors of a row's groups; 1 for a group of zeros. */
function factorsOf(
  weights: Float32Array,
  coded: Float32Array,
  matrix: LowBitMatrix,
  hessian: Hessian,
  damping: number,
): Float64Array {
  const groups = groupsOf(matrix);
  const product = new Float64Array(matrix.depth);
  const system = Array.from({ length: groups }, (_, g) => {
    const equation = new Float64Array(groups + 1);
    product.fill(0);
    multiply(coded, g * matrix.group, groupEnd(matrix, g), hessian, damping, product);
    for (let h = 0; h < groups; h++) {
      for (let i = h * matrix.group; i < groupEnd(matrix, h); i++) equation[h] += product[i] * coded[i];
    }
    for (let i = 0; i < weights.length; i++) equation[groups] += product[i] * weights[i];
    if (equation[g] === 0) equation[g] = equation[groups] = 1;
    return equation;
  });
  return solve(system);
}

/**
 * Changes the scales of a matrix to those with the least error of the outputs. A row that would need a scale that is not
 * positive keeps its own.
 *
 * @param values the weights that it encodes, [rows][depth]
 * @param hessian as `encodeWithFeedback` takes it
 */
export function refitScales(
  matrix: LowBitMatrix,
  values: Float32Array,
  hessian: Hessian,
  coder: ScaleCoder,
): void {
  const { rows, depth, scales } = matrix;
  const groups = groupsOf(matrix);
  const damping = dampingOf(hessian, depth);
  const decoded = decodeMatrix(matrix);
  for (let row = 0; row < rows; row++) {
    const [start, end] = [row * depth, (row + 1) * depth];
    const factors = factorsOf(
      values.subarray(start, end),
      decoded.subarray(start, end),
      matrix,
      hessian,
      damping,
    );
    if (!factors.every((factor) => factor > 0)) continue;
    for (let g = 0; g < groups; g++) {
      const at = row * groups + g;
      scales[at] = coder.encode(factors[g] * coder.step(scales[at]));
    }
  }
}
