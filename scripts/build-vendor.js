// Bundles what src/vendor takes from other packages into dist/src/vendor, so that users install none of them, with their
// licences in dist/src/vendor/LICENSES.txt.

const fs = require('node:fs');
const path = require('node:path');
const { buildSync } = require('esbuild');

const root = path.resolve(__dirname, '..');
const source = path.join(root, 'src', 'vendor');
const outdir = path.join(root, 'dist', 'src', 'vendor');

/** The folders of the packages that files lie in. */
function packagesOf(files) {
  const folders = files.map((file) => /^.*node_modules\/(@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0]);
  return [...new Set(folders.filter(Boolean))].sort();
}

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(
    fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8'),
  );
  const file = fs.readdirSync(path.join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  const text = fs.readFileSync(path.join(root, folder, file), 'utf8').trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}

const { metafile } = buildSync({
  absWorkingDir: root,
  entryPoints: fs.readdirSync(source).map((file) => path.join(source, file)),
  outdir,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  mainFields: ['module', 'main'],
  minify: true,
  keepNames: true,
  legalComments: 'none', // they are in the licences
  metafile: true,
  logLevel: 'warning',
});

// The library of the report's page: one script, without the reference to its source map, which would be fetched.
const charts = path.join(path.dirname(require.resolve('chart.js')), 'chart.umd.min.js');
const script = fs.readFileSync(charts, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
fs.writeFileSync(path.join(outdir, 'chart.umd.min.js'), script);

const inputs = [...Object.keys(metafile.inputs), 'node_modules/chart.js/', 'node_modules/@kurkle/color/'];
const licences = packagesOf(inputs).map(licenceOf);
fs.writeFileSync(path.join(outdir, 'LICENSES.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`));
