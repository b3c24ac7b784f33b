// Builds the native engine, build/lowbit.node, with the machine's C++ compiler and the Node-API headers from npm.
//
//   node scripts/build-native.js              fails where the build fails
//   node scripts/build-native.js --optional   (npm's install script) leaves the reason in build/native-build-error.txt
//   node scripts/build-native.js --sanitize   build/lowbit-sanitize.node, with AddressSanitizer and UBSan
//   node scripts/build-native.js --emulate-avx512   build/lowbit-emulated.node, for tests of the AVX-512 variant on any
//                                             machine (needs SIMDe, Debian's libsimde-dev)
//   node scripts/build-native.js --arm64      build/lowbit-arm64.node, by Debian's g++-aarch64-linux-gnu
//   node scripts/build-native.js --compare-kernels   instead of the addon the program native/test/compare-kernels.cc,
//                                             build/compare-kernels, with --arm64 build/compare-kernels-arm64...
//
// $CXX chooses the compiler, $CXXFLAGS adds flags. Only what changed is compiled again.

const { execFile, execFileSync } = require('node:child_process');
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
const emulate = process.argv.includes('--emulate-avx512');
const cross = process.argv.includes('--arm64');
const compareKernels = process.argv.includes('--compare-kernels');
/** Names the addon and its folder of objects. */
const suffix = sanitize ? '-sanitize' : emulate ? '-emulated' : cross ? '-arm64' : '';
const arch = cross ? 'arm64' : process.arch;

/** GCC would schedule instructions ahead of the allocation of registers, at the price of spilled accumulators. */
const ARM_FLAGS = ['-fno-schedule-insns'];

/** Flags of the folders that hold one instruction set; a folder is built where its architecture is. */
const ISA_FOLDERS = {
  avx2: { arch: 'x64', flags: ['-mavx2', '-mf16c'] },
  avx512vnni: {
    arch: 'x64',
    // The compiler's own AVX-512 headers set off its warnings about uninitialized values.
    flags:
      '-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -Wno-uninitialized -Wno-maybe-uninitialized'.split(
        ' ',
      ),
  },
  neon: { arch: 'arm64', flags: ARM_FLAGS },
  neondot: { arch: 'arm64', flags: [...ARM_FLAGS, '-march=armv8.2-a+dotprod'] },
  neoni8mm: { arch: 'arm64', flags: [...ARM_FLAGS, '-march=armv8.2-a+dotprod+i8mm'] },
};

const EMULATION = {
  flags: [`-I${path.join(nativeDir, 'test', 'avx512-emulation')}`, '-O2', '-Wno-ignored-attributes'],
  define: '-DLOWBIT_EMULATED_AVX512',
};

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

/** Of the .cc files below native/ those that go into what is built. */
function isNeeded(file) {
  if (compareKernels) return file.startsWith('isa') || file === path.join('test', 'compare-kernels.cc');
  return !file.startsWith('web') && !file.startsWith('test');
}

/** All .cc files below native/ that this architecture builds, with the flags of their folder. */
function listSources() {
  return fs
    .readdirSync(nativeDir, { recursive: true })
    .filter((file) => file.endsWith('.cc') && isNeeded(file))
    .map((file) => ({ file, isa: ISA_FOLDERS[path.basename(path.dirname(file))] }))
    .filter(({ isa }) => isa === undefined || isa.arch === arch)
    .map(({ file, isa }) => ({
      file,
      flags: (emulate && isa === ISA_FOLDERS.avx512vnni ? EMULATION : isa)?.flags ?? [],
    }));
}

function newestHeader() {
  const headers = fs.readdirSync(nativeDir, { recursive: true }).filter((file) => file.endsWith('.h'));
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
    ...(emulate ? [EMULATION.define] : []),
    ...(process.env.CXXFLAGS ?? '').split(/\s+/).filter(Boolean),
    `-I${require('node-api-headers').include_dir}`,
  ];
  const objectDir = path.join(buildDir, `objects${suffix}`);
  const headersTime = newestHeader();
  const objects = [];
  const stale = [];
  for (const source of listSources()) {
    const object = path.join(objectDir, `${source.file}.o`);
    objects.push(object);
    fs.mkdirSync(path.dirname(object), { recursive: true });
    const time = fs.existsSync(object) ? fs.statSync(object).mtimeMs : 0;
    if (time < headersTime || time < fs.statSync(path.join(nativeDir, source.file)).mtimeMs)
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
