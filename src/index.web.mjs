/**
 * The entry `tfjs-lowbit` in browsers: the default entry with the WebAssembly engine. scripts/build-web.js bundles it into
 * dist/web. Bundlers know this form of URL and put the files beside what they make.
 */
import { prepareWithModels } from './loading/prepare-engine';
import { provideWebEngine } from './runtime/web-engine';

provideWebEngine({
  'lowbit-plain.wasm': new URL('../../native/web/modules/lowbit-plain.wasm', import.meta.url).href,
  'lowbit-simd.wasm': new URL('../../native/web/modules/lowbit-simd.wasm', import.meta.url).href,
  'lowbit-relaxed.wasm': new URL('../../native/web/modules/lowbit-relaxed.wasm', import.meta.url).href,
});
prepareWithModels();

export * from './index';
