// @needs engine
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { type ConvertOptions, convert } from '../../src/convert';
import { fileSystem, LowbitError, releaseArtifacts } from '../../src/index.node';
import { currentEngine } from '../../src/runtime/current-engine';
import type { CompiledProgram } from '../../src/runtime/engine';
import { TINY_CLASSES, TINY_SIZE, temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

let float: string;
let converted: string;
/** With dynamic activations. */
let dynamic: string;

beforeAll(async () => {
  await tf.setBackend('wasm');
  float = writeTinyModel();
  const convertTo = async (name: string, options: Partial<ConvertOptions> = {}) => {
    const output = join(temporaryFolder(), name);
    await convert({ input: float, output, calibration: () => tinySamples(16), ...options });
    return join(output, 'model.json');
  };
  converted = await convertTo('int8');
  dynamic = await convertTo('dynamic', { dynamic: ['**'] });
});

function pictures(batch: number): tf.Tensor4D {
  const values = Float32Array.from({ length: batch * TINY_SIZE * TINY_SIZE * 3 }, (_, i) =>
    Math.cos(i * 0.37),
  );
  return tf.tensor4d(values, [batch, TINY_SIZE, TINY_SIZE, 3]);
}

async function rejection(promise: Promise<unknown>): Promise<LowbitError> {
  const error = await promise.then(
    () => new Error('expected an error'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(LowbitError);
  return error as LowbitError;
}

describe.each(['cpu', 'wasm'])('a converted model on the %s backend', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test('predicts what the float model predicts, for any batch', async () => {
    const [floatModel, model] = await Promise.all([
      loadGraphModel(`file://${float}`),
      loadGraphModel(`file://${converted}`),
    ]);
    for (const batch of [1, 3, 1, 7]) {
      const x = pictures(batch);
      const [probabilities, logits] = model.predict(x) as tf.Tensor[];
      const [expected, expectedLogits] = floatModel.predict(x) as tf.Tensor[];
      expect(probabilities.shape).toEqual([batch, TINY_CLASSES]);
      expect((await tf.max(tf.abs(tf.sub(probabilities, expected))).data())[0]).toBeLessThan(0.02);
      expect((await tf.max(tf.abs(tf.sub(logits, expectedLogits))).data())[0]).toBeLessThan(0.05);
    }
    floatModel.dispose();
    model.dispose();
  });

  test.each([
    ['', () => converted],
    [' by the values at hand', () => dynamic],
  ])('keeps tensors and resident memory flat over 10,000 predictions%s', async (_, path) => {
    const model = await loadGraphModel(`file://${path()}`);
    const x = pictures(1);
    const predict = (count: number) => {
      for (let i = 0; i < count; i++) tf.dispose(model.predict(x));
    };
    predict(2000);
    const { numTensors } = tf.memory();
    const resident = process.memoryUsage.rss();
    predict(10_000);
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(process.memoryUsage.rss() - resident).toBeLessThan(32e6);
    model.dispose();
  });

  test('frees its native memory when it is disposed of', async () => {
    const compile = jest.spyOn(currentEngine(), 'compile');
    const model = await loadGraphModel(`file://${converted}`);
    tf.dispose(model.predict(pictures(1)));
    const program = compile.mock.results[0].value as CompiledProgram;
    compile.mockRestore();
    expect(program.memoryBytes.weights).toBeGreaterThan(0);
    expect(program.memoryBytes.arena).toBeGreaterThan(0);
    model.dispose();
    expect(program.memoryBytes).toEqual({ weights: 0, arena: 0, withoutReuse: 0 });
    expect(() => program.outputShapes([[1, 8, 8, 3]])).toThrow(/disposed of/);
  });

  test('refuses a wrong input shape, naming what it expected', async () => {
    const model = await loadGraphModel(`file://${converted}`);
    const attempt = (shape: number[]) => () => model.execute(tf.zeros(shape));
    expect(attempt([1, TINY_SIZE, TINY_SIZE, 4])).toThrow(/shape/);
    model.dispose();
  });
});

test('releaseArtifacts drops the retained copy of the weights', async () => {
  const model: GraphModel = await loadGraphModel(`file://${converted}`);
  releaseArtifacts(model);
  expect((model as unknown as { artifacts: tf.io.ModelArtifacts }).artifacts.weightData).toBeUndefined();
  tf.dispose(model.predict(pictures(1)));
  model.dispose();
});

/** As much of a model.json as these tests change. */
interface ModelJson {
  weightsManifest: { paths: string[]; weights: { name: string; shape: number[] }[] }[];
  userDefinedMetadata: { lowbit: { formatVersion: number } };
}

describe('a damaged artefact', () => {
  /** A copy of the converted model, its model.json changed. */
  function damaged(change: (model: ModelJson) => void, shard?: (bytes: Buffer) => Buffer): string {
    const folder = temporaryFolder();
    const model = JSON.parse(readFileSync(converted, 'utf8'));
    change(model);
    writeFileSync(join(folder, 'model.json'), JSON.stringify(model));
    for (const { paths } of JSON.parse(readFileSync(converted, 'utf8')).weightsManifest) {
      for (const path of paths) {
        const bytes = readFileSync(join(dirname(converted), path));
        writeFileSync(join(folder, path), shard ? shard(bytes) : bytes);
      }
    }
    return join(folder, 'model.json');
  }
  const weights = (model: ModelJson) => model.weightsManifest[0].weights;

  test('truncated shard', async () => {
    const path = damaged(
      () => {},
      (bytes) => bytes.subarray(0, bytes.length - 8),
    );
    const error = await rejection(fileSystem(path).load!());
    expect(error.code).toBe('invalid-weights');
    expect(error.message).toMatch(/Shard '.*' is truncated: expected \d+ bytes but found \d+/);
  });

  test('shapes that multiply past 2^53, and empty or negative ones', async () => {
    for (const shape of [[2 ** 30, 2 ** 30, 64], [-4], [1.5]]) {
      const path = damaged((model) => {
        weights(model)[0].shape = shape;
      });
      const error = await rejection(fileSystem(path).load!());
      expect(error.code).toBe('invalid-weights');
      expect(error.message).toMatch(/multiplies past 2\^53|non-negative integers/);
    }
  });

  test('shards outside the folder', async () => {
    const path = damaged((model) => {
      model.weightsManifest[0].paths = ['../../etc/passwd'];
    });
    expect((await rejection(fileSystem(path).load!())).message).toMatch(/lies outside the folder/);
  });

  test('a newer format version', async () => {
    const path = damaged((model) => {
      model.userDefinedMetadata.lowbit.formatVersion = 99;
    });
    expect((await rejection(fileSystem(path).load!())).code).toBe('unsupported-version');
  });

  test('no model at all', async () => {
    expect((await rejection(fileSystem('/no/such/model.json').load!())).code).toBe('io');
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'model.json'), '{"format": ');
    expect((await rejection(fileSystem(join(folder, 'model.json')).load!())).code).toBe('invalid-model');
  });

  test('a program whose bytes were changed is refused or runs, and never crashes', async () => {
    await tf.setBackend('cpu');
    let state = 7;
    const next = (limit: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state % limit;
    };
    for (let round = 0; round < 50; round++) {
      const path = damaged(
        () => {},
        (bytes) => {
          const copy = Buffer.from(bytes);
          copy[next(copy.length)] ^= 1 << next(8);
          return copy;
        },
      );
      const model = await loadGraphModel(`file://${path}`);
      try {
        tf.dispose(model.predict(pictures(1)));
      } catch (error) {
        expect(error).toBeInstanceOf(LowbitError);
      }
      model.dispose();
    }
  });
});

describe('a float model that cannot be converted', () => {
  test('NaN weight', async () => {
    const path = writeTinyModel();
    const shard = join(dirname(path), 'group1-shard1of1.bin');
    const bytes = readFileSync(shard);
    bytes.writeFloatLE(Number.NaN, 40);
    writeFileSync(shard, bytes);
    const error = await rejection(
      convert({ input: path, output: join(temporaryFolder(), 'out'), calibration: () => tinySamples(2) }),
    );
    // All that the model computes is NaN.
    expect(error.message).toMatch(/Nothing in this model can be quantized: its weights 'conv\/w' hold NaN/);
  });
});
