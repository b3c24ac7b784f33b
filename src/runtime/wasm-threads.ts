/** Workers that compute in the memory of a WebAssembly instance beside the thread that calls it (native/web/threads.cc). */
import { LowbitError } from '../base/errors';
import type { WasmMemory } from './wasm-memory';

/** What a worker gets. */
export interface WorkerStart {
  readonly module: object;
  readonly memory: WasmMemory;
  readonly slot: number;
  /** Where its stack begins; it grows downward. */
  readonly stack: number;
}

/** A started worker. */
export interface HostWorker {
  terminate(): void;
}

/** How a host starts workers. */
export interface WorkerHost {
  /** Unless the user says otherwise, the calling thread included. */
  readonly defaultThreads: number;
  /** Whether the calling thread may wait: not that of a page. */
  readonly callerMayWait: boolean;
  /** @param ended called when it ends, with an error if it does so by one */
  start(data: WorkerStart, ended: (error?: Error) => void): HostWorker;
}

/** Of `exports` of an instance, what concerns threads. */
export interface ThreadExports {
  takeSlot(callerMayWait: number): number;
  life(slot: number): number;
  lose(slot: number): void;
  /** Whether a call has trapped because a worker gave no sign of life, and may still write to the memory. */
  abandoned(): number;
  /** Of an instance on a copy of an abandoned memory. */
  moved(): void;
  stop(): void;
  lowbit_set_threads(count: number): void;
}

/**
 * The code of a worker but for how a host hands data to it: a function that serves until it is told to stop. As text, so
 * that there is no further file to find.
 */
export const SERVE = `function serve({ module, memory, slot, stack }) {
  const imports = { env: { memory }, lowbit: { now: () => performance.now() } };
  const { exports } = new WebAssembly.Instance(module, imports);
  exports.__stack_pointer.value = stack;
  try {
    exports.serve(slot);
  } catch (error) {
    exports.lose(slot);
    throw error;
  }
}
`;

const STACK_BYTES = 256 * 1024;

enum Life {
  Starting = 0,
  Serving = 1,
  Lost = 2,
}

/** Events of workers reach this alone, so that the pool is collected with its instance, and workers stop then. */
interface State {
  readonly exports: ThreadExports;
  readonly workers: Map<number, HostWorker>;
  /** Why no more workers are started. */
  failure: LowbitError | undefined;
}

const dropped = new FinalizationRegistry<State>(({ exports }) => exports.stop());

function refuse(state: State, error: Error | undefined): void {
  if (state.failure !== undefined) return;
  state.failure = new LowbitError(
    'engine-unavailable',
    `The WebAssembly engine computes on one thread, as a worker could not be started: ${error?.message ?? 'it ended'}.\n` +
      'Allow workers (in a page, `worker-src blob:` of its Content-Security-Policy), or call setThreads(1).',
    { cause: error },
  );
  console.warn(state.failure.message);
}

function ended(state: State, slot: number, error: Error | undefined): void {
  const started = state.exports.life(slot) !== Life.Starting;
  state.exports.lose(slot);
  // Otherwise it was ended from here.
  if (state.workers.delete(slot) && !started) refuse(state, error);
}

export class WorkerPool {
  private state: State;
  private wanted = 1;

  constructor(
    exports: ThreadExports,
    private readonly module: object,
    private memory: WasmMemory,
    private readonly host: WorkerHost,
    private readonly allocate: (bytes: number) => number,
  ) {
    this.state = { exports, workers: new Map(), failure: undefined };
    dropped.register(this, this.state, this);
    this.threads = host.defaultThreads;
  }

  get threads(): number {
    return this.wanted;
  }

  set threads(count: number) {
    this.wanted = count;
    this.state.exports.lowbit_set_threads(count);
  }

  /** Threads that compute: fewer than `threads` while workers are starting, or where they cannot be started. */
  get active(): number {
    const { workers, exports } = this.state;
    const serving = [...workers.keys()].filter((slot) => exports.life(slot) === Life.Serving).length;
    return Math.min(this.wanted, 1 + serving);
  }

  /**
   * Starts the workers that are missing, and ends those that were lost.
   *
   * @throws LowbitError 'out-of-memory'
   */
  prepare(): void {
    const { workers, exports, failure } = this.state;
    for (const [slot, worker] of workers) {
      if (exports.life(slot) !== Life.Lost) continue;
      workers.delete(slot);
      worker.terminate();
    }
    if (failure !== undefined) return;
    while (workers.size < this.wanted - 1) {
      if (!this.startOne()) return;
    }
  }

  /** Leaves the workers to the memory they know. Others are started on this one by `prepare`. */
  move(exports: ThreadExports, memory: WasmMemory): void {
    const { workers, failure } = this.state;
    const left = [...workers.values()];
    workers.clear();
    for (const worker of left) worker.terminate();
    this.memory = memory;
    this.state = { exports, workers: new Map(), failure };
    dropped.unregister(this);
    dropped.register(this, this.state, this);
  }

  private startOne(): boolean {
    const { state, module, memory, host } = this;
    const stack = this.allocate(STACK_BYTES) + STACK_BYTES;
    const slot = state.exports.takeSlot(Number(host.callerMayWait));
    if (slot < 0) return false;
    try {
      const data = { module, memory, slot, stack };
      state.workers.set(
        slot,
        host.start(data, (error) => ended(state, slot, error)),
      );
      return true;
    } catch (error) {
      state.exports.lose(slot);
      refuse(state, error as Error);
      return false;
    }
  }
}
