/** The engine of this thread, created when it is first needed. */
import type { Engine } from './engine';
import { createNativeEngine } from './native-engine';

let engine: Engine | undefined;

/**
 * The engine that kernels compile with: the native addon. (A WebAssembly engine will stand in where that was not
 * built.)
 *
 * @throws LowbitError 'engine-unavailable'
 */
export function currentEngine(): Engine {
  engine ??= createNativeEngine();
  return engine;
}

/** Sets the number of threads that every prediction of this process uses, including the calling one. */
export function setThreads(count: number): void {
  currentEngine().threads = count;
}

export function getThreads(): number {
  return currentEngine().threads;
}

/** What computes: the engine, its instruction set, those it could be forced to (`LOWBIT_ISA`), and its threads. */
export function engineInfo(): Pick<Engine, 'kind' | 'isa' | 'supportedIsas' | 'threads'> {
  const { kind, isa, supportedIsas, threads } = currentEngine();
  return { kind, isa, supportedIsas, threads };
}
