// What takes too long for .ci/run: all steps, or those that are named.
//
//   npm run ci:long
//   npm run ci:long -- kernels-in-browsers

const { spawnSync } = require('node:child_process');
const path = require('node:path');

/** By name: a command, and the environment that it gets. */
const STEPS = {
  'dot-product-forms': { command: 'npm run test:wasm-forms' },
  'signed-dot-product': {
    command: 'node scripts/platform-node.js linux-arm64 && npx jest test/kernels/signed-dot',
    // Emulated, with one case of each series, they take two minutes of a processor that does nothing else.
    env: { LOWBIT_TEST_CASES: '4' },
  },
  platforms: {
    command: 'npm run build:platforms && node scripts/platform-node.js && npx jest test/platforms',
  },
  'package-managers': {
    command: 'npm run build:platforms && npm run release -- --dry-run && node test/package-managers/run.js',
  },
  'kernels-in-browsers': { command: 'npx jest test/web/kernels', env: { LOWBIT_TEST_CASES: '200' } },
  'soak-in-a-page': {
    command: 'npx jest test/web/soak',
    env: { LOWBIT_SOAK_PREDICTIONS: '10000', LOWBIT_SOAK_LOADS: '200' },
  },
};

const named = process.argv.slice(2);
const unknown = named.filter((name) => !(name in STEPS));
if (unknown.length > 0) {
  console.error(`No step ${unknown.join(', ')}; there are ${Object.keys(STEPS).join(', ')}.`);
  process.exit(1);
}

const results = [];
for (const [name, { command, env }] of Object.entries(STEPS)) {
  if (named.length > 0 && !named.includes(name)) continue;
  console.log(`\n== ${name}: ${command}`);
  const start = performance.now();
  const { status } = spawnSync(command, {
    shell: true,
    stdio: 'inherit',
    cwd: path.resolve(__dirname, '..'),
    env: { ...process.env, ...env },
  });
  results.push({ name, passed: status === 0, seconds: Math.round((performance.now() - start) / 1000) });
}
console.log('');
for (const { name, passed, seconds } of results) {
  console.log(`${passed ? 'passed' : 'FAILED'}  ${name} (${seconds} s)`);
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
