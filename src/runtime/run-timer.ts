/** Lets a benchmark tell native time from the time around it. */
let listener: ((milliseconds: number) => void) | undefined;

/** Reports the duration of every native run to `listen`, until called without one. */
export function onNativeRun(listen?: (milliseconds: number) => void): void {
  listener = listen;
}

/** Runs native code, timed only while somebody listens. */
export function timedRun(run: () => void): void {
  if (listener === undefined) {
    run();
    return;
  }
  const start = performance.now();
  run();
  listener(performance.now() - start);
}
