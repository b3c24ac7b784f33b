// Fetches Deno and Bun from npm into build/runtimes, for test/package/other-runtimes: they are too large for devDependencies.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PACKAGES = ['@deno/linux-x64-glibc@2.9.6', '@oven/bun-linux-x64@1.4.5'];

const folder = path.resolve(__dirname, '..', 'build', 'runtimes');
fs.mkdirSync(folder, { recursive: true });
const install = ['install', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', folder];
execFileSync('npm', [...install, ...PACKAGES], { stdio: 'inherit' });
