import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { importBackend, provideBackends, withBackend } from '../../src/tfjs/backends';

beforeEach(() => tf.setBackend('cpu'));

test('runs on the named backend and sets the previous one again', async () => {
  expect(await withBackend('wasm', async () => tf.getBackend())).toBe('wasm');
  expect(tf.getBackend()).toBe('cpu');
});

test('sets the previous backend again after an error', async () => {
  const failing = withBackend('wasm', async () => {
    throw new Error('failed');
  });
  await expect(failing).rejects.toThrow('failed');
  expect(tf.getBackend()).toBe('cpu');
});

test('prefers WebAssembly where it is installed', async () => {
  expect(await importBackend()).toBe('wasm');
});

describe('where nothing imports backends, as in a page', () => {
  const none = { wasm: () => {}, cpu: () => {} };
  let found: string[];

  beforeEach(() => {
    provideBackends(none);
    const original = tf.engine().registryFactory;
    jest
      .spyOn(tf.engine(), 'findBackendFactory')
      .mockImplementation((name) => (found.includes(name) ? original[name]!.factory : null) as never);
  });

  afterEach(() => jest.restoreAllMocks());

  test.each([
    [['cpu', 'wasm'], 'wasm'],
    [['cpu', 'webgl'], 'cpu'],
  ])('of %j it takes %s', async (registered, expected) => {
    found = registered;
    expect(await importBackend()).toBe(expected);
  });

  test('it says what to import where there is neither', async () => {
    found = ['webgl'];
    await expect(importBackend()).rejects.toThrow(/in a page import '@tensorflow\/tfjs-backend-wasm'/);
  });
});
