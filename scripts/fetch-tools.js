// Fetches from npm into build/tools what tests take and devDependencies need not have: Deno and Bun, which are large, and
// bundlers of pages.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PACKAGES = [
  '@deno/linux-x64-glibc@2.9.6',
  '@oven/bun-linux-x64@1.4.5',
  '@rollup/plugin-commonjs@29.0.3',
  '@rollup/plugin-node-resolve@16.0.3',
  'rollup@4.68.8',
  'vite@8.4.0',
  'webpack@5.113.0',
];

const folder = path.resolve(__dirname, '..', 'build', 'tools');
fs.mkdirSync(folder, { recursive: true });
const install = ['install', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', folder];
execFileSync('npm', [...install, ...PACKAGES], { stdio: 'inherit' });
