/** Workers of the WebAssembly engine in Node.js. */
import { availableParallelism } from 'node:os';
import { isMainThread, Worker } from 'node:worker_threads';
import { SERVE, type WorkerHost } from './wasm-threads';

const SOURCE = `${SERVE}serve(require('node:worker_threads').workerData);`;

/** A `worker_thread` of the user computes alone, so that several do not take the cores from each other. */
function defaultThreads(): number {
  try {
    const wanted = Number(process.env.LOWBIT_NUM_THREADS ?? 0);
    return wanted > 0 ? wanted : isMainThread ? availableParallelism() : 1;
  } catch {
    // A sandbox (Deno's) does not tell.
    return 1;
  }
}

export function nodeWorkers(): WorkerHost {
  return {
    defaultThreads: defaultThreads(),
    callerMayWait: true,
    start(data, ended) {
      const worker = new Worker(SOURCE, { eval: true, workerData: data, execArgv: [], env: {} });
      let error: Error | undefined;
      worker.on('error', (cause) => {
        error = cause as Error;
      });
      worker.on('exit', () => ended(error));
      // The process ends without waiting for it.
      worker.unref();
      return { terminate: () => void worker.terminate() };
    },
  };
}
