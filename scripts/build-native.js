// Builds the native engine, build/lowbit.node, with the machine's C++ compiler and the Node-API headers from npm.
//
//   node scripts/build-native.js              fails where the build fails
//   node scripts/build-native.js --optional   (npm run prepare) leaves the reason in build/native-build-error.txt
//   node scripts/build-native.js --sanitize   build/lowbit-sanitize.node, with AddressSanitizer and UBSan
//   node scripts/build-native.js --emulate    build/lowbit-emulated.node, for tests of AVX-512 and AVX-VNNI on any x86
//                                             machine (needs SIMDe, Debian's libsimde-dev)
//   node scripts/build-native.js --arm64      build/lowbit-arm64.node, by Debian's g++-aarch64-linux-gnu
//   node scripts/build-native.js --compare-kernels   instead of the addon the program of native/test/compare,
//                                             build/compare-kernels, with --arm64 build/compare-kernels-arm64...
//
// $CXX chooses the compiler, $CXXFLAGS adds flags. Only what changed is compiled again. An instruction set whose flags the
// compiler does not know is left out.

const { execFile, execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const { compileNative, instructionSets, nativeDir } = require('./compile-native');

const buildDir = path.resolve(__dirname, '..', 'build');
const errorFile = path.join(buildDir, 'native-build-error.txt');
const optional = process.argv.includes('--optional');
const sanitize = process.argv.includes('--sanitize');
const emulate = process.argv.includes('--emulate');
const cross = process.argv.includes('--arm64');
const compareKernels = process.argv.includes('--compare-kernels');
/** Names the addon and its folder of objects. */
const suffix = sanitize ? '-sanitize' : emulate ? '-emulated' : cross ? '-arm64' : '';
const arch = cross ? 'arm64' : process.arch;

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
      'then run `npm run build:native`.',
  );
}

/** The instruction sets to build; an emulating build compiles some over SIMDe. */
function setsToBuild() {
  return instructionSets(arch).map(({ name, flags, emulated }) =>
    emulate && emulated ? { name, flags: EMULATION_FLAGS, emulated } : { name, flags },
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
  const sets = setsToBuild().map((set) => ({ ...set, refused: refusedFlag(compiler, set.flags) }));
  return {
    built: sets.filter(({ refused }) => refused === undefined),
    leftOut: sets.filter(({ refused }) => refused !== undefined),
  };
}

/** Of the .cc files below native/ those of the program that compares kernels. */
const isOfComparison = (file) => file.startsWith('isa') || file.startsWith(path.join('test', 'compare'));

async function build() {
  if (process.platform === 'win32') {
    throw new Error('The native engine is not built on Windows yet; use WSL, Linux or macOS.');
  }
  const compiler = findCompiler();
  const { built, leftOut } = chooseSets(compiler);
  const objects = await compileNative({
    compiler: [compiler],
    flags: [
      ...(sanitize ? ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'] : []),
      ...(process.env.CXXFLAGS ?? '').split(/\s+/).filter(Boolean),
    ],
    sets: built,
    leftOut,
    objectDir: path.join(buildDir, `objects${suffix}`),
    isNeeded: compareKernels ? isOfComparison : undefined,
  });
  for (const { name, refused } of leftOut) {
    console.error(`tfjs-lowbit: built without ${name}, as ${compiler} does not know ${refused}.`);
  }

  const result = path.join(buildDir, compareKernels ? `compare-kernels${suffix}` : `lowbit${suffix}.node`);
  const sanitizers = sanitize ? ['-fsanitize=address,undefined'] : [];
  await promisify(execFile)(compiler, [
    ...objects,
    ...linkFlags(),
    ...sanitizers,
    '-pthread',
    '-o',
    `${result}.partial`,
  ]);
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
