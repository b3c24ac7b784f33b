// @needs engine
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { type ConvertOptions, type ConvertReport, convert } from '../../src/convert';
import { type Profile, profilePredictions } from '../../src/evaluation/profile';
import { syntheticSample } from '../../src/graph/samples';
import { ModelSession } from '../../src/loading/session';
import { currentEngine } from '../../src/runtime/current-engine';
import { TINY_CLASSES, temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const BATCH = 3;
const RUNS = 4;
const limits = { macs: 1e9, l2Bytes: 1e9, dramBytes: 1e8, l2Stores: 1e9, dramStores: 1e8 };

let report: ConvertReport;
let profile: Profile;

async function convertAndProfile(options: Partial<ConvertOptions> = {}) {
  const output = join(temporaryFolder(), 'converted');
  const converted = await convert({
    input: writeTinyModel(),
    output,
    calibration: () => tinySamples(4),
    ...options,
  });
  const session = await ModelSession.load(join(output, 'model.json'));
  const feeds = session.feed(syntheticSample(session.inputs, BATCH));
  const predict = () => void session.execute(feeds);
  const profiled = await profilePredictions(predict, { runs: RUNS, batch: BATCH, limits });
  session.dispose();
  return { report: converted, profile: profiled };
}

beforeAll(async () => {
  await tf.setBackend('wasm');
  ({ report, profile } = await convertAndProfile());
});

function layer(op: string, { layers } = profile) {
  return layers.find((each) => each.op === op)!;
}

test('counts the multiply-accumulates that the conversion counted, for the batch', () => {
  expect(profile.macs).toBe(report.macs.int8 * BATCH);
});

test('counts what each kind of layer reads and writes', () => {
  // 8 x 8 pixels of 3 channels into 6, by 3 x 3 weights; 8 bytes of bias and multiplier a channel.
  expect(layer('Conv2D')).toMatchObject({
    shape: [BATCH, 8, 8, 6],
    macs: BATCH * 64 * 6 * 27,
    bytes: BATCH * 64 * (3 + 6) + 6 * (27 + 8),
  });
  expect(layer('DepthwiseConv2D')).toMatchObject({
    macs: BATCH * 64 * 6 * 9,
    bytes: BATCH * 64 * (6 + 6) + 6 * (9 + 8),
  });
  // The logits are float32.
  expect(layer('Linear')).toMatchObject({
    macs: BATCH * 6 * TINY_CLASSES,
    bytes: BATCH * (6 + 4 * TINY_CLASSES) + TINY_CLASSES * (6 + 8),
  });
});

test('counts layers with int16 activations and weights', async () => {
  const wide = await convertAndProfile({ int16: ['**'] });
  expect(wide.report.macs.int16).toBe(report.macs.int8);
  expect(wide.profile.macs).toBe(profile.macs);
  expect(layer('Conv2D', wide.profile)).toMatchObject({
    macs: BATCH * 64 * 6 * 27,
    bytes: BATCH * 64 * (2 * 3 + 4 * 6) + 6 * (2 * 27 + 8),
  });
  expect(layer('Linear', wide.profile)).toMatchObject({
    macs: BATCH * 6 * TINY_CLASSES,
    bytes: BATCH * (2 * 6 + 4 * TINY_CLASSES) + TINY_CLASSES * (2 * 6 + 8),
  });
});

test('compares each layer with what the machine allows at best, most time lost first', () => {
  for (const { macs, bytes, milliseconds, limit, lost, percentOfPeak } of profile.layers) {
    if (milliseconds === 0) continue;
    expect(limit).toBeCloseTo(1000 * Math.max(macs / limits.macs, bytes / limits.l2Bytes), 9);
    expect(lost).toBeCloseTo(milliseconds - limit, 9);
    expect(percentOfPeak).toBeCloseTo((100 * macs) / (milliseconds / 1000) / limits.macs, 6);
  }
  const losses = profile.layers.map(({ lost }) => lost);
  expect(losses).toEqual(losses.toSorted((a, b) => b - a));
});

test('the layers are part of the native time, and that of the prediction', () => {
  expect(profile.layersMilliseconds).toBeGreaterThan(0);
  expect(profile.nativeMilliseconds).toBeGreaterThanOrEqual(profile.layersMilliseconds);
  expect(profile.milliseconds).toBeGreaterThanOrEqual(profile.nativeMilliseconds);
});

test('tells the memory of the programs, and what the arena would be without reuse', () => {
  const { weights, arena, withoutReuse } = profile.memory;
  expect(weights).toBeGreaterThan(0);
  expect(withoutReuse).toBeGreaterThan(arena);
});

test('the engine measures the limits of the machine', () => {
  const measured = currentEngine().measureLimits();
  // Slower than any machine that this runs on, faster than any: a unit mixed up would be noticed.
  expect(measured.macs).toBeGreaterThan(1e8);
  expect(measured.macs).toBeLessThan(1e14);
  expect(measured.dramBytes).toBeGreaterThan(1e8);
  expect(measured.dramBytes).toBeLessThan(1e13);
  expect(measured.l2Bytes).toBeGreaterThan(measured.dramBytes / 2);
});
