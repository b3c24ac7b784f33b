// Bundles the entries for Node.js into dist/node, which is what users load there: a few files that the entries share load in
// half the time and a quarter of the memory of a hundred.
//
// esbuild splits ES modules only, so they are bundled as such and then written as CommonJS.

const fs = require('node:fs');
const path = require('node:path');
const { buildSync, transformSync } = require('esbuild');

const root = path.resolve(__dirname, '..');
const outdir = path.join(root, 'dist', 'node');

const ENTRIES = {
  index: 'src/index.node.ts',
  kernels: 'src/kernels.node.ts',
  convert: 'src/convert.ts',
  moe: 'src/moe.ts',
  layers: 'src/layers.ts',
  cli: 'src/cli/main.ts',
  'memory-child': 'src/evaluation/memory-child.ts',
};

/** Stands for `require` until all is CommonJS. */
const REQUIRE = '__require_of_commonjs';

/** The modules of TF.js are used as they are: a copy of five hundred names in each file takes 5 MB. */
const TENSORFLOW = /__toESM\((require\("@tensorflow\/[\w-]+"\))\)/g;

/** Is CommonJS already, with parts that the first step must not look into. */
const bundledVendor = path.join(root, 'dist', 'src', 'vendor');
const vendorNames = fs
  .readdirSync(path.join(root, 'src', 'vendor'))
  .map((file) => path.basename(file, '.ts'));

const { outputFiles } = buildSync({
  absWorkingDir: root,
  entryPoints: Object.entries(ENTRIES).map(([out, file]) => ({ in: file, out })),
  outdir,
  bundle: true,
  splitting: true,
  chunkNames: 'shared-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['@tensorflow/*'],
  alias: Object.fromEntries(vendorNames.map((name) => [name, path.join(bundledVendor, `${name}.js`)])),
  define: { require: REQUIRE },
  ignoreAnnotations: true, // of what has no side effects: all is needed
  minifySyntax: true,
  write: false,
  logLevel: 'warning',
});

// The names of shared parts change with their content.
fs.rmSync(outdir, { recursive: true, force: true });
fs.mkdirSync(outdir, { recursive: true });
for (const { path: file, text } of outputFiles) {
  const { code } = transformSync(text, {
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    define: { [REQUIRE]: 'require' },
    minifyWhitespace: true,
  });
  fs.writeFileSync(file, code.replace(TENSORFLOW, '$1'));
}
