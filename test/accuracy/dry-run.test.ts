// @needs engine
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { convert, type DryRunOptions, dryRun } from '../../src/convert';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const input = writeTinyModel();

const options = (more: Partial<DryRunOptions> = {}): DryRunOptions => ({
  input,
  calibration: () => tinySamples(8),
  samples: 8,
  ...more,
});

test('tells the size that convert writes, and writes nothing', async () => {
  const before = readdirSync(dirname(input));
  for (const more of [
    {},
    { skip: ['depthwise'] },
    { regions: false },
    { int16: 2 },
    { dynamic: ['**'] },
    { minSignalToNoise: 60 },
  ]) {
    const predicted = await dryRun(options(more));
    const converted = await convert({ ...options(more), output: join(temporaryFolder(), 'out') });
    expect(predicted.bytes).toEqual(converted.bytes);
    expect(predicted.macs).toEqual(converted.macs);
    expect(predicted.float).toEqual(converted.float);
    expect(predicted.quantized).toBe(converted.quantized.length);
  }
  expect(readdirSync(dirname(input))).toEqual(before);
});

test('tells what int16 would be worth, and which layers would get it', async () => {
  const { layers, activationPrecisions, macs } = await dryRun(options({ int16: 2 }));
  expect(activationPrecisions).toEqual(
    Object.fromEntries(layers!.slice(0, 2).map(({ name }) => [name, 'int16'])),
  );
  expect(macs.int16).toBeGreaterThan(0);
  const predicted = layers!.map(({ predictedWithInt16 }) => predictedWithInt16);
  expect(predicted).toEqual(predicted.toSorted((a, b) => a - b));
  expect(predicted[0]).toBeCloseTo(
    -10 * Math.log10(layers!.slice(1).reduce((sum, layer) => sum + 10 ** (-layer.signalToNoise / 10), 0)),
    6,
  );
});

test('measures every layer on its own, worst first, and the time of a prediction', async () => {
  const { layers, latency } = await dryRun(options());
  expect(layers!.map(({ name }) => name).toSorted()).toEqual([
    'conv',
    'depthwise',
    'logits',
    'mean',
    'probabilities',
  ]);
  const noise = layers!.map(({ signalToNoise }) => signalToNoise);
  expect(noise).toEqual(noise.toSorted((a, b) => a - b));
  expect(noise[0]).toBeGreaterThan(20);
  expect(latency.speedup).toBeCloseTo(latency.float / latency.lowbit, 9);
  expect(latency.lowbit).toBeGreaterThan(0);
});

test('does not measure layers on random data, and refuses what convert refuses', async () => {
  expect(await dryRun(options({ calibration: 'random' }))).not.toHaveProperty('layers');
  await expect(dryRun(options({ samples: 0 }))).rejects.toThrow(/a positive integer for samples/);
  await expect(dryRun(options({ skip: ['nope'] })).then(({ warnings }) => warnings)).resolves.toEqual([
    expect.stringMatching(/'nope' matches no node/),
  ]);
});
