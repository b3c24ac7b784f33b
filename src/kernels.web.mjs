/** The entry `tfjs-lowbit/kernels` in browsers: the same functions, with the WebAssembly engine. */
import './index.web.mjs';

export * from './kernels';
