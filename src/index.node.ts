/**
 * The entry `tfjs-lowbit` in Node.js: the default entry with the native engine, and a handler of `file://` URLs for
 * `tf.loadGraphModel`. A model whose experts lie in a file of their own needs `tfjs-lowbit/moe` as well.
 */
import { explainOtherConverters } from '../kernels/other-converters';
import { serveFiles } from './loading/other-cores';
import './runtime/provide-node-engine';
import './tfjs/provide-node-backends';

serveFiles();
explainOtherConverters();

export * from './index';
export { type FileSystemOptions, fileSystem } from './loading/file-system';
