/** How close one model's outputs are to another's, over many samples. */

import type { Output } from '../graph/samples';
import { SignalToNoise } from '../quantization/metrics';

export interface TallyReport {
  samples: number;
  /** Percent of labelled samples whose highest score is the label's. */
  top1?: { labelled: number; float: number; lowbit: number };
  /** Percent of samples where both models give the highest score to the same class (first output that has classes). */
  agreement?: number;
  /** Signal-to-noise of each output over all samples, in dB. */
  outputs: { name: string; signalToNoise: number }[];
}

function argMax(values: Float32Array, start: number, end: number): number {
  let best = start;
  for (let i = start + 1; i < end; i++) if (values[i] > values[best]) best = i;
  return best - start;
}

/** Highest-scoring class of each row of a [batch, classes] output. */
export function topClasses({ shape, values }: Output): number[] {
  const [batch, classes] = shape;
  return Array.from({ length: batch }, (_, row) => argMax(values, row * classes, (row + 1) * classes));
}

export function looksLikeScores({ shape }: Output): boolean {
  return shape.length === 2 && shape[1] > 1;
}

/** Running sums of the report's figures. */
export class Tally {
  samples = 0;
  private agreeing = 0;
  private rows = 0;
  private labelled = 0;
  private readonly right = { float: 0, lowbit: 0 };
  private readonly fidelity = new Map<string, SignalToNoise>();

  add(float: readonly Output[], lowbit: readonly Output[], label: number | undefined): void {
    this.samples++;
    float.forEach(({ name, values }, i) => {
      const sums = this.fidelity.get(name) ?? new SignalToNoise();
      sums.add(values, lowbit[i].values);
      this.fidelity.set(name, sums);
    });
    const scores = float.findIndex(looksLikeScores);
    if (scores < 0) return;
    const ours = topClasses(lowbit[scores]);
    topClasses(float[scores]).forEach((theirs, row) => {
      this.rows++;
      if (theirs === ours[row]) this.agreeing++;
      if (label === undefined) return;
      this.labelled++;
      if (theirs === label) this.right.float++;
      if (ours[row] === label) this.right.lowbit++;
    });
  }

  report(): TallyReport {
    const percent = (part: number, whole: number) => (100 * part) / whole;
    return {
      samples: this.samples,
      ...(this.labelled > 0 && {
        top1: {
          labelled: this.labelled,
          float: percent(this.right.float, this.labelled),
          lowbit: percent(this.right.lowbit, this.labelled),
        },
      }),
      ...(this.rows > 0 && { agreement: percent(this.agreeing, this.rows) }),
      outputs: [...this.fidelity].map(([name, { decibels }]) => ({ name, signalToNoise: decibels })),
    };
  }
}
