/** Splits data in two: samples to calibrate on, and fewer to judge the result on, which the calibration must not see. */
import type { Sample } from '../../graph/ir';
import type { SampleSource } from '../../graph/samples';

/** One sample of so many is held out. */
const EVERY = 4;

/** At most so many are. */
const MOST = 16;

async function* part(samples: AsyncIterable<Sample>, out: boolean): AsyncGenerator<Sample> {
  let index = 0;
  for await (const sample of samples) {
    const isOut = index % EVERY === EVERY - 1 && index < EVERY * MOST;
    if (out && index >= EVERY * MOST) return;
    if (isOut === out) yield sample;
    index++;
  }
}

export function withoutHeldOut(source: SampleSource): SampleSource {
  return (inputs) => part(source(inputs), false);
}

export function heldOut(source: SampleSource): SampleSource {
  return (inputs) => part(source(inputs), true);
}
