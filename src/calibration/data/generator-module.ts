/** A JavaScript module that yields samples. */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LowbitError } from '../../base/errors';
import type { SampleSource } from '../../graph/samples';

function isIterable(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}

/** Realms such as those of jest have no `import()`. */
async function importModule(path: string): Promise<{ default?: unknown }> {
  try {
    return await import(/* webpackIgnore: true */ pathToFileURL(path).href);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG') throw error;
    const module = createRequire(path)(path);
    return module.__esModule ? module : { default: module };
  }
}

/**
 * The samples that a module's default export yields: a generator function, asynchronous or not, which is given the
 * model's inputs.
 *
 * @param path of a `.mjs`, `.cjs` or `.js` file
 * @throws LowbitError 'io' for a module that cannot be loaded, 'invalid-argument' for one without such an export
 *
 * @example
 * // samples.mjs
 * export default async function* (inputs) {
 *   for (const values of await readMyData()) {
 *     yield { [inputs[0].name]: { dtype: 'float32', shape: [1, 64], values: Float32Array.from(values) } };
 *   }
 * }
 */
export async function generatorModule(path: string): Promise<SampleSource> {
  let module: { default?: unknown };
  try {
    module = await importModule(resolve(path));
  } catch (cause) {
    throw new LowbitError('io', `Cannot load ${path}: ${(cause as Error).message}`, { cause });
  }
  const generator = module.default;
  if (typeof generator !== 'function') {
    throw new LowbitError(
      'invalid-argument',
      `${path} has to export a generator of samples: export default async function* (inputs) { ... }.`,
    );
  }
  return async function* (inputs) {
    const samples = generator(inputs);
    if (!isIterable(samples)) {
      throw new LowbitError(
        'invalid-argument',
        `${path}: its default export returned nothing to iterate over.`,
      );
    }
    let count = 0;
    for await (const sample of samples) {
      if (typeof sample !== 'object' || sample === null) {
        throw new LowbitError(
          'invalid-argument',
          `${path}: sample ${count} is ${String(sample)}; expected an object with a tensor for every input.`,
        );
      }
      count++;
      yield sample;
    }
  };
}
