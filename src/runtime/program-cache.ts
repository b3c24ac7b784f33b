/** The cache of compiled programs: by the tensor that holds their weights, or, without weights, by a key. */
import type { CompiledProgram } from './engine';

const MAX_WEIGHTLESS = 256;

const byTensor = new WeakMap<object, Map<string, CompiledProgram>>();
const weightless = new Map<string, CompiledProgram>();

/**
 * The program compiled for a weight tensor, compiled on its first use.
 *
 * @param dataId identity of the tensor's data, kept when TF.js moves it between backends
 * @param key distinguishes programs with the same weights
 * @param onFirst called when the first program of the tensor is compiled; its argument frees all programs of the tensor
 */
export function programOfTensor(
  dataId: object,
  key: string,
  compile: () => CompiledProgram,
  onFirst: (free: () => void) => void,
): CompiledProgram {
  const cached = byTensor.get(dataId)?.get(key);
  if (cached !== undefined) return cached;
  const program = compile();
  const programs = byTensor.get(dataId);
  if (programs !== undefined) {
    programs.set(key, program);
    return program;
  }
  byTensor.set(dataId, new Map([[key, program]]));
  onFirst(() => {
    for (const each of byTensor.get(dataId)?.values() ?? []) each.dispose();
    byTensor.delete(dataId);
  });
  return program;
}

/** The program of an op without weights; the least recently used ones are freed. */
export function weightlessProgram(key: string, compile: () => CompiledProgram): CompiledProgram {
  const program = weightless.get(key) ?? compile();
  weightless.delete(key);
  weightless.set(key, program);
  if (weightless.size > MAX_WEIGHTLESS) {
    const [oldest, old] = weightless.entries().next().value as [string, CompiledProgram];
    weightless.delete(oldest);
    old.dispose();
  }
  return program;
}
