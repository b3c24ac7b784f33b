/** The TF.js backend that float parts run on, when we choose it. */
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { repairBackend } from './kernel-repairs';

/** Those that float models run on, the faster one first. */
const BACKENDS = ['wasm', 'cpu'] as const;

type Backend = (typeof BACKENDS)[number];

/** Loads a backend that the program has not imported itself, if it is installed. */
let loaders: Partial<Record<Backend, () => void>> = {};

/**
 * Sets how backends are loaded. The entries for Node.js do so; in a browser the page imports them, as its bundler would
 * refuse one that is not installed.
 */
export function provideBackends(load: Readonly<Record<Backend, () => void>>): void {
  loaders = load;
}

/** Whether a backend is there, loaded if that takes it. */
function has(backend: Backend): boolean {
  const isThere = () => {
    const there = tf.findBackendFactory(backend) != null;
    if (there) repairBackend(backend);
    return there;
  };
  if (isThere()) return true;
  loaders[backend]?.();
  return isThere();
}

/**
 * The WebAssembly backend, or else the plain JavaScript one, loaded if that takes it.
 *
 * @throws LowbitError 'missing-package' where there is neither
 */
export async function importBackend(): Promise<Backend> {
  for (const backend of BACKENDS) if (has(backend)) return backend;
  throw new LowbitError(
    'missing-package',
    'This runs a float model in TF.js and needs a backend: npm install @tensorflow/tfjs-backend-wasm, and in a page ' +
      "import '@tensorflow/tfjs-backend-wasm'.",
  );
}

/** Goes on with the plain JavaScript backend, which knows ops that the WebAssembly one does not, if it is installed. */
export async function fallBackToCpu(): Promise<boolean> {
  if (tf.getBackend() !== 'wasm' || !has('cpu')) return false;
  return tf.setBackend('cpu');
}

/** Runs something on a backend and gives the user's own back afterwards. */
export async function withBackend<T>(name: string, body: () => Promise<T>): Promise<T> {
  const previous = tf.getBackend();
  if (!(await tf.setBackend(name))) {
    throw new LowbitError('unsupported-backend', `The TF.js backend '${name}' could not be initialized.`);
  }
  repairBackend(name);
  try {
    return await body();
  } finally {
    if (previous && previous !== tf.getBackend()) await tf.setBackend(previous);
  }
}
