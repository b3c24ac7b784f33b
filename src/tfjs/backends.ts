/** The TF.js backend that float parts run on, when we choose it. */
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { repairBackend } from './kernel-repairs';

/** Those that float models run on, the faster one first. */
const BACKENDS = ['wasm', 'cpu'] as const;

type Backend = (typeof BACKENDS)[number];

/** Imports a backend that the program has not imported itself. */
let importers: Partial<Record<Backend, () => Promise<unknown>>> = {};

/**
 * Sets how backends are imported. The entries for Node.js do so; in a browser the page imports them, as its bundler would
 * refuse one that is not installed.
 */
export function provideBackends(imports: Readonly<Record<Backend, () => Promise<unknown>>>): void {
  importers = imports;
}

function isMissing(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
}

/** Whether a backend is there, imported if that takes it. */
async function has(backend: Backend): Promise<boolean> {
  const isThere = () => {
    const there = tf.findBackendFactory(backend) != null;
    if (there) repairBackend(backend);
    return there;
  };
  if (isThere()) return true;
  try {
    await importers[backend]?.();
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return isThere();
}

/**
 * The WebAssembly backend, or else the plain JavaScript one, imported if that takes it.
 *
 * @throws LowbitError 'unsupported-backend' where there is neither
 */
export async function importBackend(): Promise<Backend> {
  for (const backend of BACKENDS) if (await has(backend)) return backend;
  throw new LowbitError(
    'unsupported-backend',
    'This runs a float model in TF.js and needs a backend: npm install @tensorflow/tfjs-backend-wasm, and in a page ' +
      "import '@tensorflow/tfjs-backend-wasm'.",
  );
}

/** Goes on with the plain JavaScript backend, which knows ops that the WebAssembly one does not, if it is installed. */
export async function fallBackToCpu(): Promise<boolean> {
  if (tf.getBackend() !== 'wasm' || !(await has('cpu'))) return false;
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
