// Builds dist/ once: some tests run the command line and the package as users do.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

module.exports = () => {
  const root = path.resolve(__dirname, '..');
  const tsc = require.resolve('typescript/package.json', { paths: [root] });
  const run = (...args) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  run(path.join(path.dirname(tsc), 'bin', 'tsc'), '-p', 'tsconfig.build.json');
  run(path.join('scripts', 'build-vendor.js'));
  run(path.join('scripts', 'build-node.js'));
  run(path.join('scripts', 'build-web.js'));
};
