/**
 * The mutation check: do the kernel tests notice small mistakes in the native code?
 *
 *   npm run test:mutation                  all of mutations.js
 *   npm run test:mutation -- avx2 padding  those whose name has one of the words
 *   npm run test:mutation -- --check       builds nothing: does every mutation fit the code?
 *
 * Each mutant is built in a temporary folder and loaded by the tests instead of the real addon. A mutant is killed when
 * a test fails, crashes or hangs. Exits with 1 if one survives, if the tests fail without a mutation, or if a mutation
 * does not fit the code any more.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const mutations = require('./mutations');

const ROOT = path.resolve(__dirname, '..', '..');
/** Those that kill most come first: the first failing file ends the run. */
const TEST_FILES = [
  'ops',
  'low-bit',
  'edges',
  'real-weights',
  'hadamard',
  'dequantize',
  'route',
  'chains',
  'hostile',
].map((name) => `test/kernels/reference-${name}.test.ts`);
const TIMEOUT_MS = 300_000;

/** Copies what the addon is built from. */
function copySources(folder) {
  fs.cpSync(path.join(ROOT, 'native'), path.join(folder, 'native'), { recursive: true });
  fs.cpSync(path.join(ROOT, 'scripts'), path.join(folder, 'scripts'), { recursive: true });
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
}

/** Whether this machine may lack the instructions of a file, so that the check runs it emulated. */
function isEmulated(file) {
  const description = path.join(ROOT, path.dirname(file), 'build.json');
  return fs.existsSync(description) && JSON.parse(fs.readFileSync(description, 'utf8')).emulated === true;
}

/** @returns the built addon */
function build(folder, file = '') {
  const emulated = isEmulated(file);
  const script = path.join(folder, 'scripts', 'build-native.js');
  const { status, stderr } = spawnSync(process.execPath, [script, ...(emulated ? ['--emulate'] : [])]);
  if (status !== 0) throw new Error(`the addon does not build: ${String(stderr).slice(0, 2000)}`);
  return path.join(folder, 'build', emulated ? 'lowbit-emulated.node' : 'lowbit.node');
}

/** @returns the first test file that fails with an addon, or undefined */
function firstFailure(addon) {
  const jest = require.resolve('jest/bin/jest');
  return TEST_FILES.find((file) => {
    const { status } = spawnSync(process.execPath, [jest, file, '--silent'], {
      cwd: ROOT,
      env: { ...process.env, LOWBIT_ADDON: addon },
      stdio: 'ignore',
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    return status !== 0;
  });
}

/** The text of a file with one mutation. */
function mutate(source, { name, file, find, replace }) {
  const occurrences = source.split(find).length - 1;
  if (occurrences !== 1) {
    throw new Error(
      `Mutation '${name}': its text occurs ${occurrences} times in ${file}, expected once. Adapt it.`,
    );
  }
  return source.replace(find, () => replace);
}

/** Throws unless every mutation fits the code, naming all that do not. */
function check(chosen) {
  const problems = chosen.flatMap((mutation) => {
    try {
      mutate(fs.readFileSync(path.join(ROOT, mutation.file), 'utf8'), mutation);
      return [];
    } catch (error) {
      return [error.message];
    }
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

function main() {
  const words = process.argv.slice(2);
  if (words[0] === '--check') {
    check(mutations);
    return;
  }
  const chosen = mutations.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
  );
  check(chosen);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lowbit-mutation-'));
  try {
    copySources(folder);
    const broken = firstFailure(build(folder));
    if (broken) throw new Error(`${broken} fails without a mutation.`);

    let survivors = 0;
    for (const mutation of chosen) {
      const target = path.join(folder, mutation.file);
      const original = fs.readFileSync(target, 'utf8');
      fs.writeFileSync(target, mutate(original, mutation));
      const killer = firstFailure(build(folder, mutation.file));
      if (!killer) survivors += 1;
      console.log(
        `${killer ? 'killed  ' : 'SURVIVED'}  ${mutation.name.padEnd(76)}  ${killer ? path.basename(killer) : ''}`,
      );
      fs.writeFileSync(target, original);
    }
    console.log(`${chosen.length - survivors} of ${chosen.length} mutants killed`);
    process.exitCode = survivors === 0 ? 0 : 1;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
