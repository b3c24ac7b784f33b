// Fetches from npm into build/tools what tests take and devDependencies need not have: Deno and Bun, which are large,
// bundlers, and what else is found around this package.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PACKAGES = [
  '@deno/linux-x64-glibc@2.9.6',
  '@oven/bun-linux-x64@1.4.5',
  '@rollup/plugin-commonjs@29.0.3',
  '@rollup/plugin-node-resolve@16.0.3',
  '@tensorflow/tfjs@4.22.0',
  'rollup@4.68.8',
  'typescript5@npm:typescript@5.9.3',
  'vite@8.4.0',
  'vitest@3.2.7',
  'webpack@5.113.0',
];

const folder = path.resolve(__dirname, '..', 'build', 'tools');
fs.mkdirSync(folder, { recursive: true });
const install = ['install', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', folder];
execFileSync('npm', [...install, ...PACKAGES], { stdio: 'inherit' });
