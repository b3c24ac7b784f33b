/**
 * A suite that needs the native engine says so in its first line, `// @needs engine`. Such suites are left out where the
 * engine was not built; `npm run test:without-engine` shows that all others pass there.
 */
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const DECLARATION = /^\/\/ @needs engine$/m;

/** @returns why there is no engine; undefined where there is one */
function missingEngine() {
  const addon = process.env.LOWBIT_ADDON ?? path.join(root, 'build', 'lowbit.node');
  if (fs.existsSync(addon)) return undefined;
  if (process.env.LOWBIT_ADDON) return `There is no ${addon}, which LOWBIT_ADDON names.`;
  const log = path.join(root, 'build', 'native-build-error.txt');
  return fs.existsSync(log)
    ? fs.readFileSync(log, 'utf8').trim().split('\n')[0]
    : 'Run npm run build:native.';
}

/** @returns paths of the suites that need the engine, from the repository's root */
function suitesThatNeedEngine() {
  return fs
    .readdirSync(__dirname, { recursive: true })
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => DECLARATION.test(fs.readFileSync(path.join(__dirname, file), 'utf8')))
    .map((file) => path.join('test', file))
    .sort();
}

module.exports = { missingEngine, suitesThatNeedEngine };
