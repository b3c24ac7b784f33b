// Builds the native engine, build/lowbit.node, with the machine's C++ compiler and the Node-API headers from npm.
//
//   node scripts/build-native.js              fails where the build fails
//   node scripts/build-native.js --optional   (npm's install script) leaves the reason in build/native-build-error.txt
//   node scripts/build-native.js --sanitize   build/lowbit-sanitize.node, with AddressSanitizer and UBSan
//   node scripts/build-native.js --emulate    build/lowbit-emulated.node, for tests of AVX-512 and AVX-VNNI on any x86
//                                             machine (needs SIMDe, Debian's libsimde-dev)
//   node scripts/build-native.js --arm64      build/lowbit-arm64.node, by Debian's g++-aarch64-linux-gnu
//   node scripts/build-native.js --compare-kernels   instead of the addon the program of native/test/compare,
//                                             build/compare-kernels, with --arm64 build/compare-kernels-arm64...
//
// $CXX chooses the compiler, $CXXFLAGS adds flags. Only what changed is compiled again.
//
// A folder of native/isa with a build.json is an instruction set: `arch` (every one where it is absent), the compiler's
// `flags`, `why` it has them where that is not obvious, and whether --emulate compiles it over SIMDe. A set whose flags
// the compiler does not know is left out.

const { execFile, execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const root = path.resolve(__dirname, '..');
const nativeDir = path.join(root, 'native');
const buildDir = path.join(root, 'build');
const errorFile = path.join(buildDir, 'native-build-error.txt');
const optional = process.argv.includes('--optional');
const sanitize = process.argv.includes('--sanitize');
const emulate = process.argv.includes('--emulate');
const cross = process.argv.includes('--arm64');
const compareKernels = process.argv.includes('--compare-kernels');
/** Names the addon and its folder of objects. */
const suffix = sanitize ? '-sanitize' : emulate ? '-emulated' : cross ? '-arm64' : '';
const arch = cross ? 'arm64' : process.arch;

const REGISTRY = path.join('isa', 'registry.cc');

const EMULATION_FLAGS = [`-I${path.join(nativeDir, 'test', 'emulation')}`, '-O2', '-Wno-ignored-attributes'];

function findCompiler() {
  const usual = cross ? ['aarch64-linux-gnu-g++'] : ['c++', 'g++', 'clang++'];
  const candidates = process.env.CXX ? [process.env.CXX] : usual;
  for (const compiler of candidates) {
    try {
      execFileSync(compiler, ['--version'], { stdio: 'ignore' });
      return compiler;
    } catch {
      // The next one, then.
    }
  }
  throw new Error(
    `No C++ compiler found (tried ${candidates.join(', ')}). Install g++, clang++ or the Xcode command line tools, ` +
      'then run `npm rebuild tfjs-lowbit`.',
  );
}

/** The instruction sets of this architecture, by folder of native/isa, with what their build.json says. */
function instructionSets() {
  const isaDir = path.join(nativeDir, 'isa');
  return fs
    .readdirSync(isaDir)
    .map((name) => ({ name, file: path.join(isaDir, name, 'build.json') }))
    .filter(({ file }) => fs.existsSync(file))
    .map(({ name, file }) => ({ name, ...JSON.parse(fs.readFileSync(file, 'utf8')) }))
    .filter((set) => set.arch === undefined || set.arch === arch)
    .map(({ name, flags, emulated }) =>
      emulate && emulated ? { name, flags: EMULATION_FLAGS, emulated } : { name, flags, emulated: false },
    );
}

/** @returns the first of the flags that the compiler refuses, or undefined */
function refusedFlag(compiler, flags) {
  const accepts = (some) =>
    spawnSync(compiler, [...some, '-x', 'c++', '-c', '-', '-o', os.devNull], { input: '' }).status === 0;
  return accepts(flags) ? undefined : (flags.find((flag) => !accepts([flag])) ?? flags.join(' '));
}

/** Parts the sets into those to build and those left out, with the flag that the compiler refuses. */
function chooseSets(compiler) {
  const sets = instructionSets().map((set) => ({ ...set, refused: refusedFlag(compiler, set.flags) }));
  return {
    built: sets.filter(({ refused }) => refused === undefined),
    leftOut: sets.filter(({ refused }) => refused !== undefined),
  };
}

/** The list that the registry includes. */
function describeSets({ built, leftOut }) {
  return [
    ...built.map(({ name, emulated }) => `LOWBIT_BUILT(${name}, ${emulated})\n`),
    ...leftOut.map(({ name, refused }) => `LOWBIT_LEFT_OUT("${name}", "${refused}")\n`),
  ].join('');
}

/** Writes a file unless it has this content already, so that what depends on it stays fresh. */
function writeIfChanged(file, content) {
  if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === content) return;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
}

/** Takes the place of weight-region.cc in WebAssembly. */
const ONLY_WASM = path.join('plan', 'weight-pieces.cc');

/** Of the .cc files below native/ those that go into what is built. */
function isNeeded(file) {
  if (compareKernels) return file.startsWith('isa') || file.startsWith(path.join('test', 'compare'));
  return !file.startsWith('web') && !file.startsWith('test') && file !== ONLY_WASM;
}

/**
 * The .cc files to compile, with their flags. A set's description runs on every machine and is compiled without the
 * set's flags. The sets come last: of functions that several objects have, linkers take the first copy, and that must
 * run on every machine.
 */
function listSources(built) {
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
  return Math.max(
    ...[...headers.map((file) => path.join(nativeDir, file)), __filename].map(
      (file) => fs.statSync(file).mtimeMs,
    ),
  );
}

async function build() {
  if (process.platform === 'win32') {
    throw new Error('The native engine is not built on Windows yet; use WSL, Linux or macOS.');
  }
  const compiler = findCompiler();
  const flags = [
    ...'-std=c++17 -O3 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -DNAPI_VERSION=8 -pthread'.split(
      ' ',
    ),
    ...(sanitize ? ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'] : []),
    ...(process.env.CXXFLAGS ?? '').split(/\s+/).filter(Boolean),
    `-I${require('node-api-headers').include_dir}`,
  ];
  const objectDir = path.join(buildDir, `objects${suffix}`);
  const sets = chooseSets(compiler);
  for (const { name, refused } of sets.leftOut) {
    console.error(`tfjs-lowbit: built without ${name}, as ${compiler} does not know ${refused}.`);
  }
  const setList = path.join(objectDir, 'instruction-sets.inc');
  writeIfChanged(setList, describeSets(sets));
  flags.push(`-I${objectDir}`);
  const headersTime = newestHeader();
  const objects = [];
  const stale = [];
  for (const source of listSources(sets.built)) {
    const object = path.join(objectDir, `${source.file}.o`);
    objects.push(object);
    fs.mkdirSync(path.dirname(object), { recursive: true });
    const time = fs.existsSync(object) ? fs.statSync(object).mtimeMs : 0;
    const inputs = [path.join(nativeDir, source.file), ...(source.file === REGISTRY ? [setList] : [])];
    if (time < Math.max(headersTime, ...inputs.map((input) => fs.statSync(input).mtimeMs)))
      stale.push({ ...source, object });
  }
  const run = promisify(execFile);
  const workers = Array.from({ length: os.availableParallelism() }, async () => {
    for (let job = stale.shift(); job; job = stale.shift()) {
      await run(compiler, [...flags, ...job.flags, '-c', path.join(nativeDir, job.file), '-o', job.object]);
    }
  });
  await Promise.all(workers);

  const result = path.join(buildDir, compareKernels ? `compare-kernels${suffix}` : `lowbit${suffix}.node`);
  const sanitizers = sanitize ? ['-fsanitize=address,undefined'] : [];
  await run(compiler, [...objects, ...linkFlags(), ...sanitizers, '-pthread', '-o', `${result}.partial`]);
  fs.renameSync(`${result}.partial`, result);
  if (!compareKernels) fs.rmSync(errorFile, { force: true });
}

function linkFlags() {
  // An emulator finds no shared libraries of another architecture.
  if (compareKernels) return cross ? ['-static'] : [];
  return process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-ldl'];
}

build().catch((error) => {
  const reason = String(error.stderr || error.message).trim();
  if (!optional) {
    console.error(reason);
    process.exit(1);
  }
  fs.mkdirSync(buildDir, { recursive: true });
  fs.writeFileSync(errorFile, `${reason}\n`);
  console.error(`tfjs-lowbit: the native engine was not built. ${reason.split('\n')[0]}`);
});
