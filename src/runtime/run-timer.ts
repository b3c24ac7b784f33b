/** Lets a benchmark look at native runs: the time they take, the programs that run. */
import type { CompiledProgram } from './engine';

type Listener = (program: CompiledProgram, milliseconds: number) => void;

let listener: Listener | undefined;
let onStart: ((program: CompiledProgram) => void) | undefined;

/** Reports every native run to `ended` with its duration, and to `started` before it, until called without any. */
export function onNativeRun(ended?: Listener, started?: (program: CompiledProgram) => void): void {
  listener = ended;
  onStart = started;
}

/** Runs native code, timed only while somebody listens. */
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
