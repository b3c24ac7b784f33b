/**
 * A process that runs one model on one runtime, so that no runtime's threads, heap or caches of compiled code touch
 * another's. It does what its parent requests (`RuntimeProcess`) and is idle otherwise.
 */
import { readFileSync } from 'node:fs';
import type { Sample } from '../../src/graph/ir';
import type { LoadedModel, Output, Runtime, RuntimeName } from './runtime';

export interface LoadRequest {
  readonly runtime: RuntimeName;
  readonly model: string;
  readonly sample: Sample;
  readonly threads: number;
}

export interface MemoryUse {
  /** Growth of the resident set from before loading to after some predictions and a garbage collection, in bytes. */
  readonly growth: number;
  /** The highest resident set of the whole process, Node.js and the runtime's own code included, in bytes. */
  readonly peak: number;
}

export type Request =
  | { readonly kind: 'load'; readonly load: LoadRequest }
  | { readonly kind: 'memory'; readonly load: LoadRequest }
  /** Untimed predictions: as many as requested, but no longer than some milliseconds. */
  | { readonly kind: 'warmUp'; readonly runs: number; readonly milliseconds: number }
  | { readonly kind: 'time'; readonly runs: number; readonly milliseconds: number };

export interface Replies {
  load: { version: string; outputs: Output[] };
  memory: MemoryUse;
  warmUp: null;
  time: number[];
}

const MEMORY_PREDICTIONS = 10;

let model: LoadedModel | undefined;

/** Only the requested runtime is loaded. */
async function runtimeOf(name: RuntimeName): Promise<Runtime> {
  if (name === 'ortInt8' || name === 'ortFloat') return (await import('./onnxruntime.js')).onnxRuntime();
  const { lowbitRuntime, tfjsRuntime } = await import('./tfjs.js');
  return name === 'ours' ? lowbitRuntime() : tfjsRuntime(name);
}

async function load(request: LoadRequest): Promise<Replies['load']> {
  const runtime = await runtimeOf(request.runtime);
  await runtime.start(request.threads);
  model = await runtime.load(request.model, request.sample);
  return { version: runtime.version, outputs: await model.outputs() };
}

/** On Linux, of this program alone: getrusage also counts the time before it was started, as its parent. */
function peakResident(): number {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
    return Number(kilobytes) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

async function measureMemory(request: LoadRequest): Promise<MemoryUse> {
  const runtime = await runtimeOf(request.runtime);
  await runtime.start(request.threads);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  model = await runtime.load(request.model, request.sample);
  for (let i = 0; i < MEMORY_PREDICTIONS; i++) await model.predict();
  globalThis.gc?.();
  return { growth: process.memoryUsage.rss() - before, peak: peakResident() };
}

async function time(runs: number, milliseconds: number): Promise<number[]> {
  const times: number[] = [];
  const begin = performance.now();
  while (times.length < runs && (times.length === 0 || performance.now() - begin < milliseconds)) {
    const start = performance.now();
    const done = model!.predict();
    if (done) await done;
    times.push(performance.now() - start);
  }
  return times;
}

async function answer(request: Request): Promise<Replies[keyof Replies]> {
  switch (request.kind) {
    case 'load':
      return load(request.load);
    case 'memory':
      return measureMemory(request.load);
    case 'warmUp':
      await time(request.runs, request.milliseconds);
      return null;
    case 'time':
      return time(request.runs, request.milliseconds);
  }
}

process.on('message', (request: Request) => {
  answer(request).then(
    (reply) => process.send!({ reply }),
    (error: Error) => process.send!({ error: error.message }),
  );
});
