import type { SampleSource } from '../../graph/samples';
import { syntheticSample } from '../../graph/samples';

/**
 * Pseudo-random values in [-1, 1), the same every time: for trying out what has no data yet. Ranges that come of them say
 * nothing about real data.
 *
 * @throws LowbitError (while iterating) 'invalid-argument' where an input is not float32 or of an open size
 */
export function randomSamples(): SampleSource {
  return async function* (inputs) {
    for (let seed = 1; ; seed++) yield syntheticSample(inputs, 1, seed);
  };
}
