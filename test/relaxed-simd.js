/** Node.js 20 knows the relaxed instructions of WebAssembly, which are on by default from 21 on, by a flag only. */
const { setFlagsFromString } = require('node:v8');

if (process.versions.node.startsWith('20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
