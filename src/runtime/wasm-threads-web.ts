/** Workers of the WebAssembly engine in a browser: where a page is isolated, and so has shared memory. */
import { SERVE, type WorkerHost, type WorkerStart } from './wasm-threads';

/** As much of the host as is used here; TypeScript has it only together with all of the DOM. */
declare const crossOriginIsolated: boolean | undefined;
declare const navigator: { readonly hardwareConcurrency?: number } | undefined;
declare const WorkerGlobalScope: unknown;
declare const Worker: new (
  url: string,
) => {
  postMessage(data: WorkerStart): void;
  terminate(): void;
  onerror: ((event: { message?: string; preventDefault(): void }) => void) | null;
};

const SOURCE = `${SERVE}onmessage = ({ data }) => {
  serve(data);
  close();
};`;

let url: string | undefined;

function start(data: WorkerStart, ended: (error?: Error) => void) {
  url ??= URL.createObjectURL(new Blob([SOURCE], { type: 'text/javascript' }));
  const worker = new Worker(url);
  worker.onerror = (event) => {
    event.preventDefault();
    ended(new Error(event.message || 'the page does not allow it'));
  };
  worker.postMessage(data);
  return worker;
}

/** Undefined where memory cannot be shared. */
export function webWorkers(): WorkerHost | undefined {
  if (typeof crossOriginIsolated === 'undefined' || !crossOriginIsolated || typeof Worker === 'undefined') {
    return undefined;
  }
  // Half of what is called cores are second threads of some, or slow ones.
  const cores = (typeof navigator === 'undefined' ? undefined : navigator.hardwareConcurrency) ?? 1;
  return {
    defaultThreads: Math.max(1, Math.floor(cores / 2)),
    callerMayWait: typeof WorkerGlobalScope !== 'undefined',
    start,
  };
}
