/** The TF.js backend that float parts run on, when we choose it. */
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { repairWasmBackend } from './wasm-repairs';

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
}

/**
 * Imports the WebAssembly backend, or else the plain JavaScript one.
 *
 * @throws LowbitError 'unsupported-backend' where neither is installed
 */
export async function importBackend(): Promise<'wasm' | 'cpu'> {
  try {
    await import('@tensorflow/tfjs-backend-wasm');
    repairWasmBackend();
    return 'wasm';
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    await import('@tensorflow/tfjs-backend-cpu');
    return 'cpu';
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new LowbitError(
      'unsupported-backend',
      'This runs a float model in TF.js and needs a backend: npm install @tensorflow/tfjs-backend-wasm.',
      { cause },
    );
  }
}

/** Goes on with the plain JavaScript backend, which knows ops that the WebAssembly one does not, if it is installed. */
export async function fallBackToCpu(): Promise<boolean> {
  if (tf.getBackend() !== 'wasm') return false;
  try {
    await import('@tensorflow/tfjs-backend-cpu');
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return tf.setBackend('cpu');
}

/** Runs something on a backend and gives the user's own back afterwards. */
export async function withBackend<T>(name: string, body: () => Promise<T>): Promise<T> {
  const previous = tf.getBackend();
  if (!(await tf.setBackend(name))) {
    throw new LowbitError('unsupported-backend', `The TF.js backend '${name}' could not be initialized.`);
  }
  if (name === 'wasm') repairWasmBackend();
  try {
    return await body();
  } finally {
    if (previous && previous !== tf.getBackend()) await tf.setBackend(previous);
  }
}
