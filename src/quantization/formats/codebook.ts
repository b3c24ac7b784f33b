/** Encodes with a table of levels: the scale with the least squared error, then each weight's nearest level. */
import type { Block, BlockOfRow, FeedbackEncoder } from './error-feedback';
import { type Format, groupEnd } from './format';
import type { ScaleCoder } from './group-scale';
import { ScaleSearch } from './scale-search';

export class CodebookEncoder implements FeedbackEncoder {
  private readonly levels: readonly number[];
  private readonly search: ScaleSearch;
  /** Between neighbouring levels, in levels. */
  private readonly thresholds: Float64Array;
  /** Bits of the least scale: that of a group of zeros, which a format with a level of zero represents at any. */
  private readonly leastScale: number;

  constructor(
    { levels }: Format,
    largestGroup: number,
    private readonly scales: ScaleCoder,
  ) {
    this.levels = levels;
    this.search = new ScaleSearch(levels, largestGroup);
    this.thresholds = Float64Array.from(levels.slice(1), (level, i) => (level + levels[i]) / 2);
    this.leastScale = levels.includes(0) ? 1 : 0;
  }

  /** @returns the bits of the scale for a group's weights, each with the importance of its error */
  scaleOf(values: Float32Array, importance: Float64Array): number {
    return Math.max(this.leastScale, this.scales.encode(this.search.find(values, importance)));
  }

  /** The code of the nearest level, of the lower one at the middle between two; 0 at scale 0. */
  code(value: number, step: number): number {
    const { thresholds } = this;
    let code = 0;
    for (let half = (thresholds.length + 1) >> 1; half > 0; half >>= 1) {
      if (value > thresholds[code + half - 1] * step) code += half;
    }
    return code;
  }

  /** Encodes a row group by group. */
  encodeRow(
    values: Float32Array,
    importance: Float64Array,
    group: number,
    scales: Uint16Array,
    codes: Uint8Array,
  ): void {
    for (let g = 0; g < scales.length; g++) {
      const end = groupEnd({ depth: values.length, group }, g);
      scales[g] = this.scaleOf(values.subarray(g * group, end), importance.subarray(g * group, end));
      const step = this.scales.step(scales[g]);
      for (let k = g * group; k < end; k++) codes[k] = this.code(values[k], step);
    }
  }

  runs(depth: number): Int32Array[] {
    return [Int32Array.from({ length: depth }, (_, k) => k)];
  }

  encodeBlock({ inputs, coupling }: Block, { targets, weights, steps, codes, errors }: BlockOfRow): void {
    const size = inputs.length;
    for (let k = 0; k < size; k++) {
      let target = targets[k];
      for (let j = 0; j < k; j++) target += errors[j] * coupling[k * size + j];
      const code = this.code(target, steps[k]);
      codes[inputs[k]] = code;
      errors[k] = weights[k] - this.levels[code] * steps[k];
    }
  }
}
