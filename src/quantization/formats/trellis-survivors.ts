/**
 * Codes of one sequence of a trellis with error feedback.
 *
 * The target of a weight depends on all earlier errors, so sequences that end in the same code still differ, and the
 * Viterbi algorithm is no longer exact. It is close enough: for each last code the best sequence survives, with its own
 * errors. More survivors gain little.
 *
 * Raheli, Polydoros and Tzou 1995, Per-survivor processing.
 */
import { type Block, type BlockOfRow, MAX_BLOCK } from './error-feedback';
import { TRELLIS_STRIDE } from './format';

const CODES = 4;

// Bound here: in a sandbox, such as a test's, globals are slow to look up.
const INFINITY = Number.POSITIVE_INFINITY;

/** One sequence for each last code. */
class Survivors {
  readonly costs = new Float64Array(CODES);
  readonly errors = new Float64Array(CODES * MAX_BLOCK);
  readonly codes = new Uint8Array(CODES * MAX_BLOCK);
}

export class TrellisSurvivors {
  private current = new Survivors();
  private next = new Survivors();
  /** The next weight of each sequence, moved by its errors. */
  private readonly moved = new Float64Array(CODES);

  /** @param levels [16] */
  constructor(private readonly levels: Int8Array) {}

  /** As `FeedbackEncoder.encodeBlock`. */
  encode({ inputs, coupling, diagonal }: Block, row: BlockOfRow): void {
    const size = inputs.length;
    const before = inputs[0] - TRELLIS_STRIDE;
    this.current.costs.fill(INFINITY);
    this.current.costs[before < 0 ? 0 : row.codes[before]] = 0;
    for (let k = 0; k < size; k++) {
      this.move(k, row.targets[k], coupling.subarray(k * size, k * size + k));
      this.extend(k, row.weights[k], row.steps[k], diagonal[k]);
      [this.current, this.next] = [this.next, this.current];
    }
    const { costs, codes, errors } = this.current;
    const at = costs.indexOf(Math.min(...costs)) * MAX_BLOCK;
    for (let k = 0; k < size; k++) {
      row.codes[inputs[k]] = codes[at + k];
      row.errors[k] = errors[at + k];
    }
  }

  private move(k: number, target: number, coupling: Float64Array): void {
    const { errors } = this.current;
    for (let last = 0; last < CODES; last++) {
      const at = last * MAX_BLOCK;
      let moved = target;
      for (let j = 0; j < k; j++) moved += errors[at + j] * coupling[j];
      this.moved[last] = moved;
    }
  }

  /** Of the sequences that go on with the same code, the one of the least cost survives. */
  private extend(k: number, weight: number, step: number, importance: number): void {
    const { current, next, moved, levels } = this;
    for (let code = 0; code < CODES; code++) {
      let least = INFINITY;
      let from = 0;
      for (let last = 0; last < CODES; last++) {
        const difference = moved[last] - levels[last | (code << 2)] * step;
        const cost = current.costs[last] + importance * difference * difference;
        if (cost < least) {
          least = cost;
          from = last;
        }
      }
      const [to, at] = [code * MAX_BLOCK, from * MAX_BLOCK];
      for (let j = 0; j < k; j++) next.errors[to + j] = current.errors[at + j];
      for (let j = 0; j < k; j++) next.codes[to + j] = current.codes[at + j];
      next.costs[code] = least;
      next.errors[to + k] = weight - levels[from | (code << 2)] * step;
      next.codes[to + k] = code;
    }
  }
}
