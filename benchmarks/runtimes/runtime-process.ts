/** The parent's side of a process that runs one model on one runtime. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { packageRoot } from '../../src/base/package-root';
import type { LoadRequest, MemoryUse, Replies, Request } from './process';
import type { Output } from './runtime';

export class RuntimeProcess {
  private readonly child: ChildProcess;

  constructor() {
    this.child = fork(join(packageRoot(), 'dist', 'benchmarks', 'runtimes', 'process.js'), {
      serialization: 'advanced',
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  }

  private async ask<K extends Request['kind']>(request: Extract<Request, { kind: K }>): Promise<Replies[K]> {
    const ended = new AbortController();
    this.child.send(request);
    try {
      const [message] = await Promise.race([
        once(this.child, 'message', { signal: ended.signal }),
        once(this.child, 'exit', { signal: ended.signal }).then(([code, signal]) => {
          throw new Error(`The process of the runtime ended: ${signal ?? code}.`);
        }),
      ]);
      const { reply, error } = message as { reply: Replies[K]; error?: string };
      if (error !== undefined) throw new Error(error);
      return reply;
    } finally {
      ended.abort();
    }
  }

  /** Loads a model and predicts once. */
  load(load: LoadRequest): Promise<{ version: string; outputs: Output[] }> {
    return this.ask({ kind: 'load', load });
  }

  /** Loads a model and predicts, for what that takes of memory. */
  memory(load: LoadRequest): Promise<MemoryUse> {
    return this.ask({ kind: 'memory', load });
  }

  async warmUp(runs: number, milliseconds: number): Promise<void> {
    await this.ask({ kind: 'warmUp', runs, milliseconds });
  }

  /** @returns milliseconds of each prediction, at least of one */
  time(runs: number, milliseconds: number): Promise<number[]> {
    return this.ask({ kind: 'time', runs, milliseconds });
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.disconnect();
    await exit;
  }
}
