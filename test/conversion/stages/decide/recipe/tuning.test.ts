// @needs engine
import { convertGraph } from '../../../../../src/conversion/convert-graph';
import { settle } from '../../../../../src/conversion/options/settle';
import type { Settings } from '../../../../../src/conversion/settings';
import { decide } from '../../../../../src/conversion/stages/decide/decide';
import { observe } from '../../../../../src/conversion/stages/observe';
import { optimize } from '../../../../../src/conversion/stages/optimize/optimize';
import { drawFeeds } from '../../../../support/float-graph';
import { toSample } from '../../../../support/quantize';
import { randomOf } from '../../../../support/random';
import { uneven } from '../../../../support/uneven';

const random = randomOf('tune', 0);

const graph = uneven(random);
const samples = Array.from({ length: 6 }, () => toSample(drawFeeds(graph, random)));
const data = async function* () {
  yield* samples;
};

test('keeps what leaves less noise in the outputs, and says what was tried', async () => {
  const { tuning, config } = await convertGraph(graph, data, { tune: true });
  const { trials } = tuning!;
  expect(tuning!.samples).toBe(samples.length);
  expect(trials.map(({ options }) => Object.keys(options)[0])).toEqual([
    undefined,
    'errorFeedback',
    'equalize',
    'calibrationMethod',
  ]);
  const equalized = trials[2];
  expect(equalized).toMatchObject({ options: { equalize: true }, kept: true });
  expect(equalized.signalToNoise).toBeGreaterThan(trials[0].signalToNoise + 3);
  expect(config.equalize).toBe(true);
  const kept = trials.filter((trial) => trial.kept).map((trial) => trial.signalToNoise);
  expect(kept).toEqual(kept.toSorted((a, b) => a - b));
});

test('prepares the model only for settings that change it', async () => {
  const settings = settle({ tune: true }, data);
  const prepared: string[] = [];
  const prepare = async (each: Settings) => observe(await optimize(graph, each), each);
  const decision = await decide(await prepare(settings), settings, async (each) => {
    prepared.push(`${each.calibrationMethod}${each.equalize ? ', equalized' : ''}`);
    return prepare(each);
  });
  expect(decision.settings.equalize).toBe(true);
  // Percentiles are known of the values that were seen before.
  expect(prepared).toEqual(['mse, equalized']);
});

test('leaves alone what the options or the configuration say', async () => {
  const { tuning, config } = await convertGraph(graph, data, {
    tune: true,
    equalize: false,
    config: { calibration: { method: 'minmax' } },
  });
  expect(tuning!.trials.map(({ options }) => options)).toEqual([{}, { errorFeedback: true }]);
  expect(config).toMatchObject({ equalize: false, calibration: { method: 'minmax' } });
});

test('needs data, and INT8 activations', async () => {
  await expect(convertGraph(graph, 'random', { tune: true })).rejects.toMatchObject({
    code: 'invalid-argument',
  });
  await expect(convertGraph(graph, data, { tune: true, activations: 'float32' })).rejects.toMatchObject({
    code: 'invalid-argument',
  });
});
