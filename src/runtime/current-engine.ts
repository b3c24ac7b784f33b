/** The engine of this thread, created when it is first needed. */
import { LowbitError } from '../base/errors';
import type { Engine } from './engine';

let createEngine: (() => Engine) | undefined;
let engine: Engine | undefined;

/**
 * Sets which engine is used from now on. The entries of the package do so: that for Node.js provides the native addon.
 *
 * @param create called when the engine is first needed
 */
export function provideEngine(create: () => Engine): void {
  createEngine = create;
  engine = undefined;
}

/**
 * The engine that kernels compile with and that pages experts.
 *
 * @throws LowbitError 'engine-unavailable'
 */
export function currentEngine(): Engine {
  if (engine !== undefined) return engine;
  if (createEngine === undefined) {
    throw new LowbitError(
      'engine-unavailable',
      'tfjs-lowbit was loaded in its default build, which has no engine yet: quantized kernels run in Node.js only, where ' +
        "the package's exports condition 'node' selects the build with the native engine.",
    );
  }
  engine = createEngine();
  return engine;
}

/** Sets the number of threads that every prediction of this process uses, including the calling one. */
export function setThreads(count: number): void {
  currentEngine().threads = count;
}

export function getThreads(): number {
  return currentEngine().threads;
}

/** The engine, its instruction set, the instruction sets available to `LOWBIT_ISA`, and the number of threads. */
export function engineInfo(): Pick<Engine, 'kind' | 'isa' | 'supportedIsas' | 'threads'> {
  const { kind, isa, supportedIsas, threads } = currentEngine();
  return { kind, isa, supportedIsas, threads };
}
