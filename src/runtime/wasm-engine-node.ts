/** The WebAssembly engine in Node.js: its modules lie in the package's folder. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LowbitError } from '../base/errors';
import { packageRoot } from '../base/package-root';
import type { Engine, Isa } from './engine';
import { openExpertFile } from './expert-file';
import { createWasmEngine } from './wasm-engine';
import { chooseFile, supportedFiles, type WasmFileName, wasmPath } from './wasm-files';
import { compileModule, type WasmModule } from './wasm-module';
import { nodeWorkers } from './wasm-threads-node';

/** Compiled modules, by path. */
const modules = new Map<string, WasmModule>();

function pathOf(name: WasmFileName): string {
  const path = wasmPath(name);
  if (path?.startsWith('file:')) return fileURLToPath(path);
  return path ?? join(packageRoot(), 'native', 'web', 'modules', name);
}

function loadModule(path: string): WasmModule {
  const known = modules.get(path);
  if (known !== undefined) return known;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new LowbitError(
      'engine-unavailable',
      `The WebAssembly engine of tfjs-lowbit cannot be read: ${(cause as Error).message}\n` +
        'Install the package again, or name the folder of its modules by setWasmPaths.',
      { cause },
    );
  }
  const module = compileModule(bytes, true, path, 'See that this is the file of the installed version.');
  modules.set(path, module);
  return module;
}

/** Half of the memory of the machine, or of its container; no limit where a sandbox (Deno's) does not tell. */
function halfOfMemory(): number {
  try {
    return Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem()) / 2;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Creates the engine.
 *
 * @param options.isa instruction set of the module; default: `LOWBIT_ISA`, or the fastest that this host can run
 * @throws LowbitError 'engine-unavailable' if the module is not there, 'invalid-argument' for an ISA that is not
 */
export function createNodeWasmEngine(options: { isa?: Isa } = {}): Engine {
  const files = supportedFiles();
  const wanted = options.isa ?? (process.env.LOWBIT_ISA || undefined);
  const { isa, name } = chooseFile(files, wanted, options.isa === undefined ? 'LOWBIT_ISA' : 'isa');
  const engine = createWasmEngine(loadModule(pathOf(name)), {
    isa,
    supportedIsas: files.map((file) => file.isa),
    openExperts: openExpertFile,
    workers: nodeWorkers(),
  });
  engine.maxMemory = Math.min(engine.maxMemory, halfOfMemory());
  return engine;
}
