const { suitesLeftOut } = require('./test/needs-engine');

/** `npm ci` succeeds without a C++ compiler, and so do the tests, except in CI, where suites fail for want of the addon. */
const leftOut = process.env.CI ? [] : suitesLeftOut();

/** @type {import('jest').Config} */
module.exports = {
  globalSetup: '<rootDir>/test/global-setup.js',
  // Tests import single files rather than an entry of the package, which would provide the engine and TF.js backends.
  setupFiles: [
    '<rootDir>/test/relaxed-simd.js',
    '<rootDir>/src/runtime/provide-node-engine.ts',
    '<rootDir>/src/tfjs/provide-node-backends.ts',
  ],
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...leftOut.map((suite) => `<rootDir>/${suite}$`)],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/build/'],
  reporters: ['default', ['<rootDir>/test/skipped-reporter.js', { leftOut }]],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  testTimeout: 60_000,
  maxWorkers: 2,
};
