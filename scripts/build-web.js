// Bundles the entries for browsers into dist/web: ES modules that import TF.js and nothing of Node.js. The WebAssembly
// modules stay where they are; the entry names them by URLs relative to itself.

const fs = require('node:fs');
const path = require('node:path');
const { build } = require('esbuild');

const root = path.resolve(__dirname, '..');
const outdir = path.join(root, 'dist', 'web');

// The names of shared parts change with their content.
fs.rmSync(outdir, { recursive: true, force: true });

const common = {
  bundle: true,
  platform: 'browser',
  target: 'es2022',
  external: ['@tensorflow/*'],
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
};
const source = (entry) => path.join(root, 'src', `${entry}.web.mjs`);

/** For pages that take TF.js by script tags. */
const tfIsGlobal = {
  name: 'tf-is-global',
  setup({ onResolve }) {
    onResolve({ filter: /^@tensorflow\// }, () => ({ path: path.join(root, 'src', 'tf-global.web.cjs') }));
  },
};

Promise.all([
  build({
    ...common,
    entryPoints: ['index', 'kernels', 'convert'].map((entry) => ({ in: source(entry), out: entry })),
    outdir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'shared-[hash]',
    splitting: true,
    format: 'esm',
  }),
  build({
    ...common,
    entryPoints: [source('index')],
    outfile: path.join(outdir, 'global.mjs'),
    format: 'esm',
    external: [],
    plugins: [tfIsGlobal],
  }),
  build({
    ...common,
    entryPoints: [source('node-only')],
    outfile: path.join(outdir, 'node-only.cjs'),
    format: 'cjs',
  }),
]).catch(() => process.exit(1));
