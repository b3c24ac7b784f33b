/**
 * A suite that runs programs says so in its first line, `// @needs engine`: native or WebAssembly, whichever is there. One
 * that needs the native addon says `// @needs addon`. Such suites are left out where there is none;
 * `npm run test:without-engine` shows that all others pass there.
 */
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const DECLARATION = /^\/\/ @needs (engine|addon)$/m;

/** @returns why there is no addon; undefined where there is one */
function missingAddon() {
  if (process.env.LOWBIT_ENGINE === 'wasm') return 'LOWBIT_ENGINE=wasm asks for the other engine.';
  const addon = process.env.LOWBIT_ADDON ?? path.join(root, 'build', 'lowbit.node');
  if (fs.existsSync(addon)) return undefined;
  if (process.env.LOWBIT_ADDON) return `There is no ${addon}, which LOWBIT_ADDON names.`;
  const log = path.join(root, 'build', 'native-build-error.txt');
  return fs.existsSync(log)
    ? fs.readFileSync(log, 'utf8').trim().split('\n')[0]
    : 'Run npm run build:native.';
}

/** What is not there: the addon, or, as LOWBIT_ENGINE=native forbids the other engine, any. */
function missing() {
  if (missingAddon() === undefined) return [];
  return process.env.LOWBIT_ENGINE === 'native' ? ['addon', 'engine'] : ['addon'];
}

/** @returns paths of the suites that need what is not there, from the repository's root */
function suitesLeftOut() {
  const needs = missing();
  return fs
    .readdirSync(__dirname, { recursive: true })
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) =>
      needs.includes(DECLARATION.exec(fs.readFileSync(path.join(__dirname, file), 'utf8'))?.[1]),
    )
    .map((file) => path.join('test', file))
    .sort();
}

module.exports = { missingAddon, suitesLeftOut };
