/** The cache of compiled programs: by the tensors that hold their weights, or, without weights, by a key. */
import type { CompiledProgram } from './engine';

const MAX_WEIGHTLESS = 256;

interface Entry {
  readonly key: string;
  readonly program: CompiledProgram;
  readonly weights: readonly object[];
}

/** What is known of a tensor's data. */
interface TensorPrograms {
  /** Distinguishes the tensor in keys. */
  readonly id: number;
  /** Those that were compiled from it, among other tensors; by key, which has the other tensors' numbers. */
  readonly entries: Map<string, Entry>;
}

const byTensor = new WeakMap<object, TensorPrograms>();
const weightless = new Map<string, CompiledProgram>();
let lastId = 0;

function freeProgramsOf(dataId: object): void {
  const entries = byTensor.get(dataId)?.entries.values() ?? [];
  byTensor.delete(dataId);
  for (const { key, program, weights } of entries) {
    for (const weight of weights) byTensor.get(weight)?.entries.delete(key);
    program.dispose();
  }
}

/**
 * The program compiled from weight tensors, compiled on its first use.
 *
 * @param dataIds identities of the data of all tensors that the program is compiled from, kept when TF.js moves them
 *   between backends
 * @param key distinguishes programs with the same weights
 * @param onFirst called for each tensor that no program was compiled from yet; `free` frees all of the tensor's programs
 */
export function programOfTensors(
  dataIds: readonly object[],
  key: string,
  compile: () => CompiledProgram,
  onFirst: (dataId: object, free: () => void) => void,
): CompiledProgram {
  const keyWith = (ids: readonly (number | undefined)[]) => `${ids.join()}:${key}`;
  const known = dataIds.map((dataId) => byTensor.get(dataId));
  const cached = known[0]?.entries.get(keyWith(known.map((tensor) => tensor?.id)));
  if (cached !== undefined) return cached.program;
  const program = compile();
  const tensors = dataIds.map((dataId) => {
    const there = byTensor.get(dataId);
    if (there !== undefined) return there;
    const tensor: TensorPrograms = { id: ++lastId, entries: new Map() };
    byTensor.set(dataId, tensor);
    onFirst(dataId, () => freeProgramsOf(dataId));
    return tensor;
  });
  const entry: Entry = { key: keyWith(tensors.map(({ id }) => id)), program, weights: dataIds };
  for (const { entries } of tensors) entries.set(entry.key, entry);
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
