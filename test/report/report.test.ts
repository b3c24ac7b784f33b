// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CompareReport, compare, convert, makeReport, writeReport } from '../../src/convert';
import type { Sample } from '../../src/graph/ir';
import { recoveryEffects } from '../../src/report/recovery';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

let models: { float: string; lowbit: string };
let comparison: CompareReport;
const samples = (): AsyncIterable<Sample> => tinySamples(6);

beforeAll(async () => {
  const float = writeTinyModel();
  const output = join(temporaryFolder(), 'int8');
  await convert({ input: float, output, calibration: samples });
  models = { float, lowbit: join(output, 'model.json') };
  comparison = await compare({ ...models, samples, latencyRuns: 2, memory: false });
});

const untimed = () => makeReport({ ...models, samples, comparison, layerSamples: 4, timedRuns: 0 });

test('tells of the model, its layers, and where its scales come from', async () => {
  const report = await makeReport({ ...models, samples, comparison, layerSamples: 4, timedRuns: 1 });
  expect(report.macs.percent).toBe(100);
  expect(report.layerSamples).toBe(4);
  expect(report.calibration).toMatchObject({ method: 'mse', samples: 5 });
  expect(report.layers.map(({ name }) => name)).toContain('depthwise');
  expect(report.float).toEqual([]);
  const conv = report.layers.find(({ name }) => name === 'conv')!.sensitivity!;
  expect(conv.outputs.map(({ name }) => name)).toEqual(['probabilities', 'logits']);
  expect(conv.signalToNoise).toBeGreaterThan(20);
  for (const { milliseconds } of report.layers) expect(milliseconds!.before).toBeGreaterThan(0);
});

test('is the same every time, but for times', async () => {
  expect(await untimed()).toEqual(await untimed());
});

test('is written as the JSON of itself', async () => {
  const report = await untimed();
  const exact = { ...report, layers: [{ ...report.layers[0], signalToNoise: Number.POSITIVE_INFINITY }] };
  const path = await writeReport(exact, join(temporaryFolder(), 'new', 'report.json'));
  const read = JSON.parse(readFileSync(path, 'utf8'));
  expect(read.layers[0].signalToNoise).toBe('Infinity');
  expect({ ...read, layers: [] }).toEqual({ ...JSON.parse(JSON.stringify(report)), layers: [] });
});

test('refuses a file of another kind', async () => {
  const path = join(temporaryFolder(), 'report.txt');
  await expect(writeReport(await untimed(), path)).rejects.toThrow(/ends in \.html or \.json for path/);
});

test('needs a model of this tool, with regions', async () => {
  const of = (lowbit: string) => makeReport({ ...models, lowbit, samples, comparison });
  await expect(of(models.float)).rejects.toThrow(/was not converted by tfjs-lowbit/);
  const output = join(temporaryFolder(), 'nodes');
  await convert({ input: models.float, output, calibration: samples, regions: false });
  await expect(of(join(output, 'model.json'))).rejects.toThrow(/convert it with regions/);
});

test('compares the layers of an equalized model at its own scales', async () => {
  const output = join(temporaryFolder(), 'equalized');
  const { changes } = await convert({ input: models.float, output, calibration: samples, equalize: true });
  expect(changes.filter(({ pass }) => pass === 'equalize-activations')).not.toEqual([]);
  const lowbit = join(output, 'model.json');
  const report = await makeReport({ ...models, lowbit, samples, comparison, layerSamples: 4, timedRuns: 0 });
  expect(report.equalized).toBe(true);
  expect(report.layers.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['conv', 'depthwise', 'logits', 'probabilities']),
  );
  for (const { signalToNoise, sensitivity } of report.layers) {
    expect(signalToNoise).toBeGreaterThan(20);
    expect(sensitivity).toBeUndefined();
  }
});

test('tells what each way to recover accuracy was worth', async () => {
  const output = join(temporaryFolder(), 'recovered');
  const asked = {
    equalize: true,
    weightRange: 'mse',
    errorFeedback: true,
    biasCorrection: 'sequential',
  } as const;
  const conversion = await convert({ input: models.float, output, calibration: samples, ...asked });
  const options = { float: models.float, calibration: samples, conversion };
  const effects = await recoveryEffects(options);
  expect(effects.map(({ pass }) => pass)).toEqual([
    'equalization',
    'weight ranges by least squares',
    'error feedback',
    'sequential bias correction',
  ]);
  const whole = await compare({
    float: models.float,
    lowbit: join(output, 'model.json'),
    samples,
    latencyRuns: 1,
    memory: false,
  });
  const worst = Math.min(...whole.outputs.map(({ signalToNoise }) => signalToNoise));
  for (const effect of effects) {
    expect(effect.with).toBeCloseTo(worst, 3);
    expect(effect.without).toBeGreaterThan(10);
  }
  // The weights of this model are even: none is worth cutting off.
  for (const effect of [effects[0], effects[3]]) expect(effect.without).not.toBe(effect.with);
  const without = await convert({
    input: models.float,
    output: join(temporaryFolder(), 'without'),
    calibration: samples,
    biasCorrection: 'none',
  });
  expect(await recoveryEffects({ ...options, conversion: without })).toEqual([]);
});
