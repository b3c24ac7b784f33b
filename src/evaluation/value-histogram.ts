/** How the values of a tensor lie in the range that its codes can hold. */
import type { Codes } from './layer-tensors';

const BINS = 64;

/** Counts of values in equal bins over [low, high]; the first and the last count hold what lies outside. */
export interface ValueHistogram {
  readonly low: number;
  readonly high: number;
  /** 64 bins between `below` and `above`. */
  readonly float: readonly number[];
  readonly quantized: readonly number[];
}

/** The real values that codes can hold, half a step more at either end: what rounds to a code and is not clipped. */
export function representable({ bits, scale, zeroPoint }: Codes): [low: number, high: number] {
  const half = 2 ** (bits - 1);
  return [(-half - 0.5 - zeroPoint) * scale, (half - 0.5 - zeroPoint) * scale];
}

/** Counts float values and their quantized counterparts in the same bins; each of these holds as many codes. */
export class HistogramPair {
  private readonly counts = { float: new Float64Array(BINS + 2), quantized: new Float64Array(BINS + 2) };

  constructor(
    private readonly low: number,
    private readonly high: number,
  ) {}

  add(float: Float32Array, quantized: Float32Array): void {
    this.count(float, this.counts.float);
    this.count(quantized, this.counts.quantized);
  }

  private count(values: Float32Array, counts: Float64Array): void {
    const perUnit = BINS / (this.high - this.low);
    for (let i = 0; i < values.length; i++) {
      const bin = Math.floor((values[i] - this.low) * perUnit);
      counts[Math.max(-1, Math.min(BINS, bin)) + 1]++;
    }
  }

  /** Share of the float values beyond the bounds, in percent. */
  get outside(): number {
    const { float } = this.counts;
    const total = float.reduce((sum, count) => sum + count, 0);
    return total === 0 ? 0 : (100 * (float[0] + float[BINS + 1])) / total;
  }

  result(): ValueHistogram {
    const { low, high, counts } = this;
    return { low, high, float: [...counts.float], quantized: [...counts.quantized] };
  }
}
