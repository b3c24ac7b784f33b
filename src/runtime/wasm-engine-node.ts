/** The WebAssembly engine in Node.js: its modules lie in the package's folder. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkArgument, LowbitError } from '../base/errors';
import { packageRoot } from '../base/package-root';
import type { Engine, Isa } from './engine';
import { openExpertFile } from './expert-file';
import { createWasmEngine } from './wasm-engine';
import { compileModule, validates, type WasmModule } from './wasm-module';

/** The modules by instruction set, slowest first. */
const FILES: readonly (readonly [Isa, string])[] = [
  ['wasm', 'lowbit-plain.wasm'],
  ['wasmsimd', 'lowbit-simd.wasm'],
];

/** What this host takes of them; compiled when first needed. */
const usable: { isa: Isa; bytes: Uint8Array; module?: WasmModule }[] = [];

function loadModules() {
  if (usable.length > 0) return usable;
  const folder = join(packageRoot(), 'native', 'web', 'modules');
  for (const [isa, file] of FILES) {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(join(folder, file));
    } catch (cause) {
      throw new LowbitError(
        'engine-unavailable',
        `The WebAssembly engine of tfjs-lowbit is not in the package: ${(cause as Error).message}`,
        { cause },
      );
    }
    if (validates(bytes)) usable.push({ isa, bytes });
  }
  return usable;
}

/**
 * Creates the engine.
 *
 * @param options.isa instruction set of the module; default: `LOWBIT_ISA`, or the fastest that this host takes
 * @throws LowbitError 'engine-unavailable' if the modules are not there, 'invalid-argument' for an ISA that is not
 */
export function createNodeWasmEngine(options: { isa?: Isa } = {}): Engine {
  const modules = loadModules();
  const wanted = options.isa ?? process.env.LOWBIT_ISA;
  const chosen = wanted ? modules.find(({ isa }) => isa === wanted) : modules.at(-1);
  const supportedIsas = modules.map(({ isa }) => isa);
  checkArgument(chosen !== undefined, 'isa', `one of ${supportedIsas.join(', ')}`, wanted);
  chosen.module ??= compileModule(chosen.bytes);
  return createWasmEngine(chosen.module, { isa: chosen.isa, supportedIsas, openExperts: openExpertFile });
}
