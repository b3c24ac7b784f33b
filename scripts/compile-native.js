// Compiles the engine's C++ sources to objects, for build-native.js and build-platforms.js. Only what changed is compiled
// again.
//
// A folder of native/isa with a build.json is an instruction set: `arch` (every one where it is absent), the compiler's
// `flags`, `why` it has them where that is not obvious, and whether an emulating build compiles it over SIMDe.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const nativeDir = path.resolve(__dirname, '..', 'native');

const REGISTRY = path.join('isa', 'registry.cc');
/** Takes the place of weight-region.cc in WebAssembly. */
const ONLY_WASM = path.join('plan', 'weight-pieces.cc');

const FLAGS =
  '-std=c++17 -O3 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -DNAPI_VERSION=8 -pthread'.split(
    ' ',
  );

/** Of the .cc files below native/ those of the addon. */
const isOfAddon = (file) => !file.startsWith('web') && !file.startsWith('test') && file !== ONLY_WASM;

/** The instruction sets of an architecture, by folder of native/isa, with what their build.json says. */
function instructionSets(arch) {
  const isaDir = path.join(nativeDir, 'isa');
  return fs
    .readdirSync(isaDir)
    .map((name) => ({ name, file: path.join(isaDir, name, 'build.json') }))
    .filter(({ file }) => fs.existsSync(file))
    .map(({ name, file }) => ({ name, ...JSON.parse(fs.readFileSync(file, 'utf8')) }))
    .filter((set) => set.arch === undefined || set.arch === arch);
}

/** The list that the registry includes. */
function describeSets(built, leftOut = []) {
  return [
    ...built.map(({ name, emulated = false }) => `LOWBIT_BUILT(${name}, ${emulated})\n`),
    ...leftOut.map(({ name, refused }) => `LOWBIT_LEFT_OUT("${name}", "${refused}")\n`),
  ].join('');
}

/** Writes a file unless it has this content already, so that what depends on it stays fresh. */
function writeIfChanged(file, content) {
  if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === content) return;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
}

/**
 * The .cc files to compile, with their flags. A set's description runs on every machine and is compiled without the
 * set's flags. The sets come last: of functions that several objects have, linkers take the first copy, and that must
 * run on every machine.
 */
function listSources(built, isNeeded) {
  const folders = new Map(built.map(({ name, flags }) => [path.join('isa', name), flags]));
  const isaFolder = /^isa.\w+$/;
  const files = fs
    .readdirSync(nativeDir, { recursive: true })
    .filter((file) => file.endsWith('.cc') && isNeeded(file))
    .map((file) => ({ file, folder: path.dirname(file) }))
    .filter(({ folder }) => !isaFolder.test(folder) || folders.has(folder));
  const flagsOf = ({ file, folder }) =>
    path.basename(file) === 'description.cc' ? [] : (folders.get(folder) ?? []);
  return files
    .map((source) => ({ file: source.file, flags: flagsOf(source) }))
    .sort((a, b) => Math.sign(a.flags.length) - Math.sign(b.flags.length));
}

function newestHeader() {
  const headers = fs
    .readdirSync(nativeDir, { recursive: true })
    .filter((file) => file.endsWith('.h') || file.endsWith('build.json'));
  return Math.max(...headers.map((file) => fs.statSync(path.join(nativeDir, file)).mtimeMs));
}

/**
 * Compiles what changed.
 *
 * @param options.compiler the command: a program and the arguments that every call has
 * @param options.flags besides those that all builds have
 * @param options.sets of instructionSets; one that is `emulated` runs on every machine
 * @param options.leftOut sets that the compiler has no flags for, with the one that it `refused`
 * @param options.objectDir where the objects go
 * @param options.isNeeded by the path of a .cc file below native/
 * @returns the objects in the order in which to link them
 */
async function compileNative({ compiler, flags, sets, leftOut = [], objectDir, isNeeded = isOfAddon }) {
  const setList = path.join(objectDir, 'instruction-sets.inc');
  writeIfChanged(setList, describeSets(sets, leftOut));
  const flagList = path.join(objectDir, 'flags.txt');
  writeIfChanged(flagList, `${[...FLAGS, ...flags].join('\n')}\n`);
  const allFlags = [...FLAGS, ...flags, `-I${require('node-api-headers').include_dir}`, `-I${objectDir}`];
  const commonTime = Math.max(newestHeader(), fs.statSync(flagList).mtimeMs);
  const objects = [];
  const stale = [];
  for (const source of listSources(sets, isNeeded)) {
    const object = path.join(objectDir, `${source.file}.o`);
    objects.push(object);
    fs.mkdirSync(path.dirname(object), { recursive: true });
    const time = fs.existsSync(object) ? fs.statSync(object).mtimeMs : 0;
    const inputs = [path.join(nativeDir, source.file), ...(source.file === REGISTRY ? [setList] : [])];
    if (time < Math.max(commonTime, ...inputs.map((input) => fs.statSync(input).mtimeMs)))
      stale.push({ ...source, object });
  }
  const run = promisify(execFile);
  const [program, ...args] = compiler;
  const workers = Array.from({ length: os.availableParallelism() }, async () => {
    for (let job = stale.shift(); job; job = stale.shift()) {
      const source = path.join(nativeDir, job.file);
      await run(program, [...args, ...allFlags, ...job.flags, '-c', source, '-o', job.object]);
    }
  });
  await Promise.all(workers);
  return objects;
}

module.exports = { compileNative, describeSets, instructionSets, nativeDir, writeIfChanged };
