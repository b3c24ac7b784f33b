/**
 * The default entry: runs converted models. Importing it registers the quantized kernels with TF.js, so that
 * `tf.loadGraphModel` and `model.predict` run a converted model.
 *
 * It needs nothing of Node.js, and brings no engine: index.node.ts, which the exports condition `node` selects, and
 * index.web.mjs add one. A model whose experts lie in a file of their own needs `tfjs-lowbit/moe`.
 */
import { install } from '../kernels/register';

install();

export { install, type TfInstance } from '../kernels/register';
export { LowbitError, type LowbitErrorCode } from './base/errors';
export { releaseArtifacts } from './loading/release-artifacts';
export { engineInfo, getThreads, ready, setIsa, setMaxMemory, setThreads } from './runtime/current-engine';
export { setWasmPaths } from './runtime/wasm-files';
