/** The entry `tfjs-lowbit/convert` in browsers: quantization of models in memory, with the WebAssembly engine. */
import './index.web.mjs';

export * from './convert.browser';
