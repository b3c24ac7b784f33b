/** Hooks for benchmarks: which programs run and how long they take. */
import type { CompiledProgram } from './engine';

type Listener = (program: CompiledProgram, milliseconds: number) => void;

let listener: Listener | undefined;
let onStart: ((program: CompiledProgram) => void) | undefined;

/** Calls `started` before every native run and `ended` after it, with its duration, until called without arguments. */
export function onNativeRun(ended?: Listener, started?: (program: CompiledProgram) => void): void {
  listener = ended;
  onStart = started;
}

/** Runs native code; measures it only while a listener is set. */
export function timedRun(program: CompiledProgram, run: () => void): void {
  if (listener === undefined) {
    run();
    return;
  }
  onStart?.(program);
  const start = performance.now();
  run();
  listener(program, performance.now() - start);
}
