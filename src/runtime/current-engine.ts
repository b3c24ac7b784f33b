/** The engine of this thread, created when it is first needed. */
import { LowbitError } from '../base/errors';
import type { Engine, Isa } from './engine';

/** @param isa default: what the environment says, or the fastest instruction set there is */
export type CreateEngine = (options?: { isa?: Isa }) => Engine;

let createEngine: CreateEngine | undefined;
let prepareEngine: (() => Promise<void>) | undefined;
let engine: Engine | undefined;

/**
 * Sets which engine is used from now on. The entries of the package do so: that for Node.js provides the native addon,
 * or WebAssembly where there is none.
 *
 * @param create called when the engine is first needed
 * @param prepare loads what `create` would have to wait for
 */
export function provideEngine(create: CreateEngine, prepare?: () => Promise<void>): void {
  createEngine = create;
  prepareEngine = prepare;
  engine = undefined;
}

/**
 * The engine that kernels compile with and that pages experts.
 *
 * @throws LowbitError 'engine-unavailable'
 */
export function currentEngine(): Engine {
  engine ??= newEngine();
  return engine;
}

function newEngine(options?: { isa?: Isa }): Engine {
  if (createEngine === undefined) {
    throw new LowbitError(
      'engine-unavailable',
      'This build of tfjs-lowbit brings no engine. Import the package by its name: its exports conditions choose the build ' +
        'for Node.js, or that for browsers.',
    );
  }
  return createEngine(options);
}

/**
 * Loads the engine. In a browser its module has to be fetched, which starts when a model is loaded by its URL; a
 * prediction that comes before it is there fetches it again while the page waits.
 *
 * @throws LowbitError 'engine-unavailable' with what to do
 */
export async function ready(): Promise<void> {
  if (engine !== undefined) return;
  await prepareEngine?.();
  currentEngine();
}

/**
 * Chooses the instruction set, and with it the engine, of the programs that are compiled from now on: call it before the
 * first prediction. Those of WebAssembly are wasm, wasmsimd and wasmrelaxed.
 *
 * @throws LowbitError 'invalid-argument' naming those that there are
 */
export function setIsa(isa: Isa): void {
  const next = newEngine({ isa });
  if (engine?.kind === next.kind) {
    next.maxMemory = engine.maxMemory;
    next.threads = engine.threads;
  }
  engine = next;
}

/** Sets the number of threads that every prediction of this process uses, including the calling one. */
export function setThreads(count: number): void {
  currentEngine().threads = count;
}

export function getThreads(): number {
  return currentEngine().threads;
}

/**
 * Sets how many bytes a model may take for intermediate tensors, scratch and outputs of one region, for all predictions
 * of this process. More is refused with both numbers before it is allocated. Default: half of the memory of the machine
 * or of its container.
 */
export function setMaxMemory(bytes: number): void {
  currentEngine().maxMemory = bytes;
}

/** The engine, its instruction set, the instruction sets available to `LOWBIT_ISA`, and the limits. */
export function engineInfo(): Pick<
  Engine,
  'kind' | 'isa' | 'dotForm' | 'supportedIsas' | 'threads' | 'activeThreads' | 'maxMemory'
> {
  const { kind, isa, dotForm, supportedIsas, threads, activeThreads, maxMemory } = currentEngine();
  return { kind, isa, dotForm, supportedIsas, threads, activeThreads, maxMemory };
}
