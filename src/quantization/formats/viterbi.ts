/**
 * The codes of a row of a trellis with the least squared error, by dynamic programming.
 *
 * What a weight becomes depends on its own code c and on the code p four before it (`TRELLIS_STRIDE`): a row is four
 * interleaved sequences. In each, the least error of a sequence that ends in c is the least over p of the error of one
 * that ends in p, plus h (w - s l)^2 with l = levels[p | c << 2]: 16 branches per weight.
 *
 * Forney 1973, The Viterbi algorithm; Marcellin and Fischer 1990, Trellis coded quantization.
 */
import { groupEnd, TRELLIS_STRIDE } from './format';

const STATES = 4;
const BRANCHES = 16;

/** Steps of the groups of a row, and which weights belong to each. */
export interface GroupSteps {
  /** Real units per level. */
  steps: Float64Array;
  /** Weights a group; 0: the whole row. */
  group: number;
}

export class Viterbi {
  /** Of every weight and code: the code before it in the best sequence, two bits each. */
  private readonly before: Uint8Array;
  /** Least errors of the sequences that end in each code, and those of the next weight. */
  private readonly errors = new Float64Array(STATES);
  private readonly nextErrors = new Float64Array(STATES);
  /** (s l)^2 and 2 s l of each branch. */
  private readonly squares = new Float64Array(BRANCHES);
  private readonly doubles = new Float64Array(BRANCHES);

  /** @param levels [16], by p | c << 2 */
  constructor(
    private readonly levels: ArrayLike<number>,
    depth: number,
  ) {
    this.before = new Uint8Array(depth);
  }

  /**
   * @param values of the row
   * @param importance h of each
   * @param codes filled
   */
  encode(
    values: Float32Array,
    importance: Float64Array,
    { steps, group }: GroupSteps,
    codes: Uint8Array,
  ): void {
    const { length } = values;
    for (let lane = 0; lane < Math.min(TRELLIS_STRIDE, length); lane++) {
      this.errors.fill(Number.POSITIVE_INFINITY);
      this.errors[0] = 0;
      for (let g = 0; g < steps.length; g++) {
        this.setStep(steps[g]);
        const end = groupEnd({ depth: length, group }, g);
        this.advance(values, importance, g * group + lane, end);
      }
      this.trace(lane, codes);
    }
  }

  private setStep(step: number): void {
    for (let i = 0; i < BRANCHES; i++) {
      const value = this.levels[i] * step;
      this.squares[i] = value * value;
      this.doubles[i] = 2 * value;
    }
  }

  /** Goes on from the weight at `start`, four at a time, to `end`. h w^2, which every branch has, is left out. */
  private advance(values: Float32Array, importance: Float64Array, start: number, end: number): void {
    const { before, errors, nextErrors, squares, doubles } = this;
    let [a, b, c, d] = errors;
    for (let k = start; k < end; k += TRELLIS_STRIDE) {
      const h = importance[k];
      const w = values[k];
      let chosen = 0;
      for (let code = 0; code < STATES; code++) {
        const i = code << 2;
        let least = a + h * (squares[i] - w * doubles[i]);
        let from = 0;
        const second = b + h * (squares[i + 1] - w * doubles[i + 1]);
        if (second < least) {
          least = second;
          from = 1;
        }
        const third = c + h * (squares[i + 2] - w * doubles[i + 2]);
        if (third < least) {
          least = third;
          from = 2;
        }
        const fourth = d + h * (squares[i + 3] - w * doubles[i + 3]);
        if (fourth < least) {
          least = fourth;
          from = 3;
        }
        nextErrors[code] = least;
        chosen |= from << (2 * code);
      }
      before[k] = chosen;
      a = nextErrors[0];
      b = nextErrors[1];
      c = nextErrors[2];
      d = nextErrors[3];
    }
    errors[0] = a;
    errors[1] = b;
    errors[2] = c;
    errors[3] = d;
  }

  /** Follows the best sequence of a lane from its end to its start. */
  private trace(lane: number, codes: Uint8Array): void {
    const { before, errors } = this;
    let code = errors.indexOf(Math.min(...errors));
    const last = lane + TRELLIS_STRIDE * Math.floor((codes.length - 1 - lane) / TRELLIS_STRIDE);
    for (let k = last; k >= lane; k -= TRELLIS_STRIDE) {
      codes[k] = code;
      code = (before[k] >> (2 * code)) & 3;
    }
  }
}
