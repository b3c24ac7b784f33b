/** Stands for the engine of Node.js where the suites are bundled for a page: every module of the WebAssembly engine. */
import { currentEngine, setIsa } from '../../../src/runtime/current-engine';
import type { Engine, Isa } from '../../../src/runtime/engine';
import { provideWebEngine } from '../../../src/runtime/web-engine';

provideWebEngine({
  'lowbit-plain.wasm': '/native/web/modules/lowbit-plain.wasm',
  'lowbit-simd.wasm': '/native/web/modules/lowbit-simd.wasm',
  'lowbit-relaxed.wasm': '/native/web/modules/lowbit-relaxed.wasm',
});

export function createNodeEngine({ isa }: { isa?: Isa } = {}): Engine {
  if (isa !== undefined) setIsa(isa);
  return currentEngine();
}
