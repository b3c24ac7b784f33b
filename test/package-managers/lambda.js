/** docs/deploying.md's zip for AWS Lambda, made from an installation and run where nothing can be written. */
const fs = require('node:fs');
const path = require('node:path');
const { buildSync } = require('esbuild');
const { zipSync } = require('fflate');
const { call, root } = require('./project');

function filesOf(folder) {
  const files = fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile());
  return files.map(({ parentPath, path: parent = parentPath, name }) => path.join(parent, name));
}

/**
 * @param installed a project with the package
 * @param platform the name of its package
 * @param model the folder of a converted model, of `shape`
 */
function tryLambda({ installed, platform, model, shape, folder, env }) {
  const lambda = path.join(folder, 'lambda');
  fs.copyFileSync(path.join(root, 'examples', 'lambda', 'handler.js'), path.join(installed, 'handler.cjs'));
  buildSync({
    absWorkingDir: installed,
    entryPoints: ['handler.cjs'],
    outfile: path.join(lambda, 'index.js'),
    bundle: true,
    minify: true,
    platform: 'node',
    logLevel: 'error',
  });
  const engine = path.join('node_modules', '@tfjs-lowbit', platform);
  fs.cpSync(path.join(installed, engine), path.join(lambda, engine), { recursive: true });
  fs.cpSync(model, path.join(lambda, 'model'), { recursive: true });
  const files = filesOf(lambda);
  const zip = zipSync(
    Object.fromEntries(files.map((file) => [path.relative(lambda, file), fs.readFileSync(file)])),
  );
  const unpacked = files.reduce((sum, file) => sum + fs.statSync(file).size, 0);

  const size = shape.reduce((product, dim) => product * dim, 1);
  const script = `
    const { handler } = require('./index.js');
    const start = performance.now();
    const values = Array.from({ length: ${size} }, (_, i) => ((i * 37) % 256) / 127.5 - 1);
    handler({ body: JSON.stringify({ shape: [${shape}], values }) }).then(({ body }) => {
      const scores = JSON.parse(body);
      if (!scores.every(Number.isFinite)) throw new Error('not all scores are numbers');
      console.log(scores.length + ' scores in ' + (performance.now() - start).toFixed() + ' ms');
    });`;
  // Read only, and neither threads nor programs are started.
  const readOnly = ['--no-warnings', '--experimental-permission', '--allow-fs-read=*', '--allow-addons'];
  const options = { cwd: lambda, env: { ...env, LOWBIT_ENGINE: 'native' } };
  const ran = call(['node', ...readOnly, '-e', script], options);
  if (ran.status !== 0) console.error(`\nThe zip for Lambda: ${ran.output.slice(-3000)}`);
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
  return {
    model: path.basename(model),
    zipped: megabytes(zip.length),
    unpacked: megabytes(unpacked),
    'where nothing can be written': ran.status === 0 ? ran.stdout.trim() : 'FAILED',
    good: ran.status === 0 && zip.length < 15e6,
  };
}

module.exports = { tryLambda };
