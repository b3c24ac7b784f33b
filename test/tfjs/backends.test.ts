import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { importBackend, withBackend } from '../../src/tfjs/backends';

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
