// Bundles the entries for browsers into dist/web: ES modules that import TF.js and nothing of Node.js. The WebAssembly
// modules stay where they are; the entry names them by URLs relative to itself.

const fs = require('node:fs');
const path = require('node:path');
const { build } = require('esbuild');

const root = path.resolve(__dirname, '..');
const outdir = path.join(root, 'dist', 'web');

// The names of shared parts change with their content.
fs.rmSync(outdir, { recursive: true, force: true });

build({
  entryPoints: ['index', 'kernels'].map((entry) => ({
    in: path.join(root, 'src', `${entry}.web.mjs`),
    out: entry,
  })),
  outdir,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'shared-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  external: ['@tensorflow/*'],
  // package.json tells of the effects of built files, not of sources.
  ignoreAnnotations: true,
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
}).catch(() => process.exit(1));
