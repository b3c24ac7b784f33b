/**
 * Encodes with a trellis: the codes with the least squared error for given scales, then the scales with the least for
 * given codes, in turn. Neither step makes the error larger.
 */
import type { Block, BlockOfRow, FeedbackEncoder } from './error-feedback';
import { type Format, groupEnd, TRELLIS_STRIDE } from './format';
import type { ScaleCoder } from './group-scale';
import { TrellisSurvivors } from './trellis-survivors';
import { LEVELS_A_DEVIATION } from './trellis2';
import { Viterbi } from './viterbi';

/** Further ones gain less than 0.0002 of the variance. */
const ROUNDS = 4;

export class TrellisEncoder implements FeedbackEncoder {
  private readonly viterbi: Viterbi;
  private readonly survivors: TrellisSurvivors;
  private readonly levels: Int8Array;

  constructor(
    { levels }: Format,
    depth: number,
    private readonly scales: ScaleCoder,
  ) {
    this.levels = Int8Array.from(levels);
    this.viterbi = new Viterbi(this.levels, depth);
    this.survivors = new TrellisSurvivors(this.levels);
  }

  /** Encodes a row: fills its codes and the bits of its scales. */
  encodeRow(
    values: Float32Array,
    importance: Float64Array,
    group: number,
    scales: Uint16Array,
    codes: Uint8Array,
  ): void {
    const steps = new Float64Array(scales.length);
    const shape = { depth: values.length, group };
    for (let g = 0; g < scales.length; g++) {
      scales[g] = this.scales.encode(this.firstScale(values, importance, g * group, groupEnd(shape, g)));
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (let g = 0; g < scales.length; g++) steps[g] = this.scales.step(scales[g]);
      this.viterbi.encode(values, importance, { steps, group }, codes);
      for (let g = 0; g < scales.length; g++) {
        const scale = this.bestScale(values, importance, codes, g * group, groupEnd(shape, g));
        if (scale > 0) scales[g] = this.scales.encode(scale);
      }
    }
  }

  /** The four sequences of a row, one after the other. */
  runs(depth: number): Int32Array[] {
    return Array.from({ length: TRELLIS_STRIDE }, (_, lane) =>
      Int32Array.from(
        { length: Math.ceil((depth - lane) / TRELLIS_STRIDE) },
        (_, i) => lane + i * TRELLIS_STRIDE,
      ),
    );
  }

  encodeBlock(block: Block, row: BlockOfRow): void {
    this.survivors.encode(block, row);
  }

  /** The scale that would serve best if the weights were Gaussian. */
  private firstScale(values: Float32Array, importance: Float64Array, start: number, end: number): number {
    let squares = 0;
    let total = 0;
    for (let k = start; k < end; k++) {
      squares += importance[k] * values[k] ** 2;
      total += importance[k];
    }
    return Math.sqrt(squares / total) / LEVELS_A_DEVIATION;
  }

  /** sum h w l / sum h l^2, which has the least error for these codes. */
  private bestScale(
    values: Float32Array,
    importance: Float64Array,
    codes: Uint8Array,
    start: number,
    end: number,
  ): number {
    let products = 0;
    let squares = 0;
    for (let k = start; k < end; k++) {
      const before = k < TRELLIS_STRIDE ? 0 : codes[k - TRELLIS_STRIDE];
      const level = this.levels[before | (codes[k] << 2)];
      products += importance[k] * values[k] * level;
      squares += importance[k] * level * level;
    }
    return squares > 0 ? products / squares : 0;
  }
}
