const fs = require('node:fs');
const path = require('node:path');

/** Folders of tests that run native code. */
const NATIVE = [
  'accuracy',
  'benchmarks',
  'calibration/correction',
  'cli',
  'evaluation',
  'kernels',
  'moe',
  'package',
  'report',
  'runtime',
];

/** Without a C++ compiler `npm ci` succeeds all the same; what needs the engine is then left out, except in CI. */
function ignored() {
  if (fs.existsSync(path.join(__dirname, 'build', 'lowbit.node')) || process.env.CI) return [];
  console.warn(
    `SKIPPED test/{${NATIVE}}: the native engine was not built (see build/native-build-error.txt). ` +
      'Install a C++ compiler and run npm run build:native.',
  );
  return NATIVE.map((folder) => `<rootDir>/test/${folder}/`);
}

/** @type {import('jest').Config} */
module.exports = {
  globalSetup: '<rootDir>/test/global-setup.js',
  // Tests import single files rather than an entry of the package, which would provide the engine.
  setupFiles: ['<rootDir>/src/runtime/provide-native-engine.ts'],
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...ignored()],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/build/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  testTimeout: 60_000,
  maxWorkers: 2,
};
