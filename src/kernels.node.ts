/** The entry `tfjs-lowbit/kernels` in Node.js: the same functions, with the native engine. */
import './index.node';

export * from './kernels';
