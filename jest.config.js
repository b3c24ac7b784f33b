const { missingEngine, suitesThatNeedEngine } = require('./test/needs-engine');

/** `npm ci` succeeds without a C++ compiler, and so do the tests, except in CI, where suites fail for want of the engine. */
const leftOut = missingEngine() !== undefined && !process.env.CI;

/** @type {import('jest').Config} */
module.exports = {
  globalSetup: '<rootDir>/test/global-setup.js',
  // Tests import single files rather than an entry of the package, which would provide the engine.
  setupFiles: ['<rootDir>/src/runtime/provide-node-engine.ts'],
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(leftOut ? suitesThatNeedEngine().map((suite) => `<rootDir>/${suite}$`) : []),
  ],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/build/'],
  reporters: ['default', ['<rootDir>/test/skipped-reporter.js', { suitesLeftOut: leftOut }]],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  testTimeout: 60_000,
  maxWorkers: 2,
};
