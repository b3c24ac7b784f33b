import { LowbitError } from '../../base/errors';
import type { DenseTensor } from '../../graph/ir';
import type { InputSpec, SampleSource } from '../../graph/samples';
import { isEndless } from './constant-samples';

const list = (names: Iterable<string>) => [...names].map((name) => `'${name}'`).join(', ');

function checkNames(inputs: readonly InputSpec[], sources: ReadonlyMap<string, SampleSource>): void {
  const names = inputs.map(({ name }) => name);
  const optional = new Set(inputs.filter((input) => input.optional).map(({ name }) => name));
  const missing = names.filter((name) => !sources.has(name) && !optional.has(name));
  const unknown = [...sources.keys()].filter((name) => !names.includes(name));
  if (missing.length === 0 && unknown.length === 0) return;
  const problem =
    missing.length > 0 ? `there is no data for ${list(missing)}` : `there is no input ${list(unknown)}`;
  throw new LowbitError(
    'invalid-argument',
    `The model has the inputs ${list(names)} and the data is for ${list(sources.keys())}: ${problem}.`,
  );
}

/**
 * Samples of a model with several inputs, from a source for each, one step at a time.
 *
 * @param sources by the signature's name of the input
 * @throws LowbitError (while iterating) 'invalid-argument' for names that are not the model's, 'invalid-shape' where one
 *   source has fewer samples than another
 */
export function namedSamples(sources: ReadonlyMap<string, SampleSource>): SampleSource {
  return async function* (inputs) {
    checkNames(inputs, sources);
    const given = inputs.filter(({ name }) => sources.has(name));
    const endless = given.map(({ name }) => isEndless(sources.get(name)!));
    const iterators = given.map((input) => sources.get(input.name)!([input])[Symbol.asyncIterator]());
    try {
      for (let count = 0; ; count++) {
        const results = await Promise.all(iterators.map((iterator) => iterator.next()));
        const ended = results.findIndex(({ done }) => done);
        const going = results.findIndex(({ done }, i) => !done && !endless[i]);
        if (ended >= 0 && going < 0) return;
        if (ended >= 0) {
          throw new LowbitError(
            'invalid-shape',
            `The data for input '${given[ended].name}' ends after ${count} samples, but that for '${given[going].name}' goes on.`,
          );
        }
        const tensors = results.map(({ value }, i): [string, DenseTensor] => [
          given[i].name,
          value[given[i].name],
        ]);
        yield Object.fromEntries(tensors);
      }
    } finally {
      await Promise.all(iterators.map((iterator) => iterator.return?.()));
    }
  };
}
