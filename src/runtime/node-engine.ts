/** Which engine runs in Node.js: the native addon where it is there, else WebAssembly. */
import { checkArgument, LowbitError } from '../base/errors';
import type { Engine, Isa } from './engine';
import { createNativeEngine } from './native-engine';
import { createNodeWasmEngine } from './wasm-engine-node';

/**
 * Creates the engine of this process.
 *
 * @param options.isa instruction set; default: `LOWBIT_ISA`, or the fastest there is. `LOWBIT_ENGINE` (native or wasm)
 *   forces an engine
 * @throws LowbitError 'engine-unavailable', 'invalid-argument' for an ISA or an engine that is not there
 */
export function createNodeEngine(options: { isa?: Isa } = {}): Engine {
  const forced = process.env.LOWBIT_ENGINE;
  checkArgument(
    !forced || forced === 'native' || forced === 'wasm',
    'LOWBIT_ENGINE',
    'native or wasm',
    forced,
  );
  if (forced === 'wasm') return createNodeWasmEngine(options);
  try {
    return createNativeEngine(options);
  } catch (error) {
    const missing = error instanceof LowbitError && error.code === 'engine-unavailable';
    if (!missing || forced === 'native') throw error;
    return createNodeWasmEngine(options);
  }
}
