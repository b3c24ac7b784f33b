/** Which engine runs in Node.js: the native addon where it is there, else WebAssembly. */
import { checkArgument } from '../base/errors';
import type { Engine, Isa } from './engine';
import { NoNativeAddon } from './native-addon';
import { createNativeEngine } from './native-engine';
import { createNodeWasmEngine } from './wasm-engine-node';
import { isWasmIsa } from './wasm-files';

/** The addon would ignore what is no number. */
function checkThreadsVariable(): void {
  const { LOWBIT_NUM_THREADS: text = '' } = process.env;
  checkArgument(text === '' || /^[1-9]\d*$/.test(text), 'LOWBIT_NUM_THREADS', 'a positive integer', text);
}

let warned = false;

function warnOnce(reason: string): void {
  if (warned) return;
  warned = true;
  console.warn(
    `${reason}\nThe WebAssembly engine runs instead; LOWBIT_ENGINE=wasm asks for it without this warning.`,
  );
}

/**
 * Creates an engine of this process.
 *
 * @param options.isa instruction set; default: `LOWBIT_ISA`, or the fastest there is. One of WebAssembly's chooses that
 *   engine; `LOWBIT_ENGINE` (native or wasm) forces one
 * @throws LowbitError 'engine-unavailable', 'invalid-argument' for an ISA or an engine that is not there, or a
 *   `LOWBIT_NUM_THREADS` that is no positive integer
 */
export function createNodeEngine(options: { isa?: Isa } = {}): Engine {
  checkThreadsVariable();
  const { LOWBIT_ENGINE: forced = '', LOWBIT_ISA: isa = '' } = process.env;
  checkArgument(['', 'native', 'wasm'].includes(forced), 'LOWBIT_ENGINE', 'native or wasm', forced);
  if (forced === 'wasm' || (forced === '' && isWasmIsa(options.isa ?? isa)))
    return createNodeWasmEngine(options);
  try {
    return createNativeEngine(options);
  } catch (error) {
    if (!(error instanceof NoNativeAddon) || forced === 'native') throw error;
    const engine = createNodeWasmEngine(options);
    if (error.expected) warnOnce(error.message);
    return engine;
  }
}
