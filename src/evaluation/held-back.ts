/** Samples to check a conversion on that its calibration has not seen, as far as the data has any more. */
import type { DenseTensor, Sample } from '../graph/ir';
import type { InputSpec, Output, SampleSource } from '../graph/samples';

const COUNT = 8;

export interface CheckSamples {
  readonly samples: readonly Sample[];
  /** The calibration has not seen them, or not all of them. */
  readonly heldBack: boolean;
  /** How many were held out of the calibration data. */
  readonly heldOut?: number;
  /** What the float model computes for each, where that is known already. */
  readonly float?: readonly (readonly Output[])[];
}

/** A copy: who gave a sample may use its memory again. */
function copyOf(sample: Sample): Sample {
  const copy = (tensor: DenseTensor): DenseTensor => ({ ...tensor, values: tensor.values.slice() });
  return Object.fromEntries(Object.entries(sample).map(([name, tensor]) => [name, copy(tensor)]));
}

/** All samples of a source. */
export async function copiesOf(source: SampleSource, inputs: readonly InputSpec[]): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source(inputs)) samples.push(copyOf(sample));
  return samples;
}

/**
 * Watches data that is read once: keeps the first samples that were read, and, when the reader stops, reads a few more,
 * which are held back from it.
 */
export class HeldBack {
  private seen: Sample[] = [];
  private more: Sample[] = [];

  constructor(private readonly data: SampleSource) {}

  /** The data for its one reader. */
  readonly source: SampleSource = (inputs) => this.read(inputs);

  private async *read(inputs: Parameters<SampleSource>[0]): AsyncGenerator<Sample> {
    [this.seen, this.more] = [[], []];
    const samples = this.data(inputs)[Symbol.asyncIterator]();
    let done = false;
    let failed = false;
    try {
      while (true) {
        const next = await samples.next().catch((error: unknown) => {
          failed = true;
          throw error;
        });
        done = next.done === true;
        if (done) return;
        if (this.seen.length < COUNT) this.seen.push(copyOf(next.value));
        yield next.value;
      }
    } finally {
      if (!done && !failed) await this.readMore(samples);
      await samples.return?.();
    }
  }

  private async readMore(samples: AsyncIterator<Sample>): Promise<void> {
    try {
      while (this.more.length < COUNT) {
        const next = await samples.next();
        if (next.done) return;
        this.more.push(copyOf(next.value));
      }
    } catch {
      // The data was enough for its reader: what comes after that is not needed.
    }
  }

  take(): CheckSamples {
    const heldBack = this.more.length > 0;
    return { samples: heldBack ? this.more : this.seen, heldBack };
  }

  /** Samples that were held out before; where they are few, some of those that were seen too. */
  beside(out: readonly Sample[]): CheckSamples {
    const samples = [...out, ...this.seen.slice(0, Math.max(0, COUNT - out.length))];
    return { samples, heldBack: out.length > 0, heldOut: out.length };
  }
}
