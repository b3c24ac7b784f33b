// @needs engine
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { bench, type CompareOptions, compare, convert } from '../../src/convert';
import { engineInfo, getThreads } from '../../src/index.node';
import { ModelSession } from '../../src/loading/session';
import { TINY_CLASSES, TINY_SIZE, temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const SAMPLES = 12;

let float: string;
let lowbit: string;

beforeAll(async () => {
  float = writeTinyModel();
  const output = join(temporaryFolder(), 'int8');
  await convert({ input: float, output, calibration: () => tinySamples(SAMPLES) });
  lowbit = join(output, 'model.json');
});

function compareTiny(options: Partial<CompareOptions> = {}) {
  return compare({
    float,
    lowbit,
    samples: () => tinySamples(SAMPLES),
    latencyRuns: 2,
    memory: false,
    ...options,
  });
}

async function writeImages(folder: string): Promise<void> {
  for (const [i, name] of ['a.png', 'b.png', 'c.png'].entries()) {
    const background = { r: 80 * i, g: 255 - 60 * i, b: 30 };
    await sharp({ create: { width: TINY_SIZE, height: TINY_SIZE, channels: 3, background } }).toFile(
      join(folder, name),
    );
  }
}

describe('compare', () => {
  test('finds a model equal to itself: all agree, no noise', async () => {
    const report = await compareTiny({ lowbit: float });
    expect(report).toMatchObject({ samples: SAMPLES, agreement: 100 });
    expect(report.outputs).toEqual([
      { name: 'probabilities', signalToNoise: Number.POSITIVE_INFINITY },
      { name: 'logits', signalToNoise: Number.POSITIVE_INFINITY },
    ]);
    expect(report.top1).toBeUndefined();
  });

  test('tells the noise of quantization, by the energy of all samples', async () => {
    const { outputs } = await compareTiny();
    await tf.setBackend('wasm');
    const [original, converted] = await Promise.all([float, lowbit].map((path) => ModelSession.load(path)));
    let [signal, noise] = [0, 0];
    for await (const sample of tinySamples(SAMPLES)) {
      const expected = (await original.predict(sample))[1].values;
      const found = (await converted.predict(sample))[1].values;
      for (let i = 0; i < TINY_CLASSES; i++) {
        signal += expected[i] ** 2;
        noise += (expected[i] - found[i]) ** 2;
      }
    }
    expect(noise).toBeGreaterThan(0);
    expect(outputs[1]).toEqual({
      name: 'logits',
      signalToNoise: expect.closeTo(10 * Math.log10(signal / noise), 6),
    });
    expect(outputs[1].signalToNoise).toBeGreaterThan(20);
  });

  test('counts labels with their offset: of the classes one is right for each picture', async () => {
    const folder = temporaryFolder();
    await writeImages(folder);
    const labels = join(folder, 'labels.json');
    const offsets = Array.from({ length: TINY_CLASSES }, (_, offset) => offset);
    writeFileSync(labels, JSON.stringify({ 'a.png': 0, 'b.png': { index: 0, name: 'nought' } }));
    const reports = [];
    for (const labelOffset of offsets) {
      reports.push(await compareTiny({ samples: undefined, images: folder, labels, labelOffset }));
    }
    for (const report of reports) expect(report).toMatchObject({ samples: 3, top1: { labelled: 2 } });
    expect(reports.reduce((sum, { top1 }) => sum + top1!.float, 0)).toBeCloseTo(100, 9);
    expect(reports.reduce((sum, { top1 }) => sum + top1!.lowbit, 0)).toBeCloseTo(100, 9);
  });

  test('stops at the limit, and leaves no tensor behind', async () => {
    await compareTiny();
    const before = tf.memory().numTensors;
    const progress: number[] = [];
    const report = await compareTiny({ limit: 5, onProgress: (done) => progress.push(done) });
    expect(report.samples).toBe(5);
    expect(progress).toEqual([1, 2, 3, 4, 5]);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('refuses labels that belong to other pictures, with the key that was expected', async () => {
    const folder = temporaryFolder();
    await writeImages(folder);
    const labels = join(folder, 'labels.json');
    writeFileSync(labels, JSON.stringify({ 'eval/a.png': 1 }));
    await expect(compareTiny({ samples: undefined, images: folder, labels })).rejects.toThrow(
      /has a label for no image of .*; expected keys like 'a\.png'/,
    );
  });

  test('refuses a model that is no form of the other one', async () => {
    const other = writeTinyModel();
    const model = JSON.parse(readFileSync(other, 'utf8'));
    delete model.signature.outputs.probabilities;
    writeFileSync(join(dirname(other), 'model.json'), JSON.stringify(model));
    await expect(compareTiny({ float: other })).rejects.toMatchObject({
      code: 'invalid-model',
      message: expect.stringMatching(
        /has outputs of shape \[1,4\], \[1,4\] but .* \[1,4\]; give the float model/,
      ),
    });
  });

  test('stops when aborted while it times', async () => {
    const controller = new AbortController();
    const comparing = compareTiny({ latencyRuns: 20_000, signal: controller.signal });
    setTimeout(() => controller.abort(), 300);
    await expect(comparing).rejects.toMatchObject({ code: 'cancelled' });
  });

  test('wants images or samples', async () => {
    await expect(compareTiny({ samples: undefined })).rejects.toThrow(/either images or samples/);
  });
});

describe('bench', () => {
  test('warms either model alike', async () => {
    const stages: { stage: string; done: number }[] = [];
    await bench({ model: lowbit, float, runs: 2, onProgress: (progress) => stages.push(progress) });
    const warmUps = stages.filter(({ stage }) => stage === 'warm up').map(({ done }) => done);
    const second = warmUps.lastIndexOf(1);
    expect(second).toBeGreaterThan(0);
    expect(warmUps.length - second).toBe(second);
  });

  test('times the first sample of given data', async () => {
    const batch = 3;
    const { values } = (await tinySamples(batch)[Symbol.asyncIterator]().next()).value!.image;
    const samples = async function* () {
      const image = Float32Array.from({ length: batch * values.length }, (_, i) => values[i % values.length]);
      yield { image: { dtype: 'float32' as const, shape: [batch, TINY_SIZE, TINY_SIZE, 3], values: image } };
    };
    const report = await bench({ model: lowbit, samples, runs: 1 });
    expect(report.batch).toBe(batch);
    await expect(bench({ model: lowbit, samples: async function* () {}, runs: 1 })).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });

  test('gives the number of threads back, also when aborted', async () => {
    const before = getThreads();
    const controller = new AbortController();
    const stages = new Set<string>();
    const timing = bench({
      model: lowbit,
      // WebAssembly has one.
      threads: [engineInfo().kind === 'wasm' ? 1 : before + 1],
      runs: 1e9,
      signal: controller.signal,
      onProgress: ({ stage }) => {
        stages.add(stage);
        if (stage === 'time') controller.abort();
      },
    });
    await expect(timing).rejects.toMatchObject({ code: 'cancelled' });
    expect([...stages]).toEqual(['warm up', 'time']);
    expect(getThreads()).toBe(before);
  });
});
