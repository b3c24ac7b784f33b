// Builds the engine as WebAssembly modules, native/web/modules/*.wasm, with the C++ compiler of Zig. The same sources
// and version give the same bytes on every machine.
//
//   pip install ziglang==0.17.1          (or $ZIG names a zig of this version)
//   node scripts/build-wasm.js           all modules
//   node scripts/build-wasm.js simd      some of them: plain, simd, relaxed
//   node scripts/build-wasm.js --check   fails where the modules there are differ from what is built
//   node scripts/build-wasm.js --forms   for tests: build/lowbit-relaxed-*.wasm, in which a function computes what each form
//                                        of the relaxed dot product does (native/isa/wasmrelaxed/dot.h)
//
// Nothing of a C library is linked: native/web has the little that the engine calls. The runtime of C++ comes from LLVM's
// sources that lie in Zig's folder. Exceptions are WebAssembly's own and never leave a module. Only what changed is
// compiled again.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const { describeSets, instructionSets, nativeDir, writeIfChanged } = require('./compile-native');
const { findZig } = require('./zig');

/** Of the memory that a module imports, as src/runtime/wasm-memory.ts has them too. */
const PAGE = 65536;
const INITIAL_PAGES = 32;
const MOST_PAGES = 65536;

const root = path.resolve(__dirname, '..');
const objectRoot = path.join(root, 'build', 'wasm-objects');
const moduleDir = path.join(nativeDir, 'web', 'modules');

/** Of a module: compiler flags, and the instruction sets (folders of native/isa), whose build.json has more. */
const MODULES = {
  plain: { flags: [], sets: ['scalar'] },
  simd: { flags: ['-msimd128'], sets: ['scalar', 'wasmsimd'] },
  // Only the last set's own files hold relaxed instructions.
  relaxed: { flags: ['-msimd128'], sets: ['scalar', 'wasmsimd', 'wasmrelaxed'] },
};

/** Values of LOWBIT_DOT_FORM. */
const FORMS = { signed: 1, unsigned: 2, saturating: 3 };

/** Functions of native/include/lowbit.h that hosts call; native/web/exports.cc adds those of its own. */
const EXPORTS = [
  'output_shapes',
  'run',
  'ops',
  'output_shape_words',
  'start_profile',
  'end_profile',
  'memory',
  'destroy',
  'isa',
  'supports',
  'measure_limits',
  'set_threads',
].map((name) => `lowbit_${name}`);

const FLAGS = [
  '--target=wasm32-wasip1',
  ...'-ffp-contract=off -fno-math-errno -fvisibility=hidden -ffunction-sections -fdata-sections'.split(' '),
  // Instructions that hosts know where they know WebAssembly's exceptions; they serve one thread as well.
  ...'-matomics -mbulk-memory'.split(' '),
  ...'-fwasm-exceptions -fno-threadsafe-statics -Wall -Wextra -Wno-unused-private-field -nostdinc'.split(' '),
];

/** As Zig compiles its libc++ for wasm32-wasi. */
const LIBCXX_DEFINES = [
  'NDEBUG',
  '_LIBCPP_ABI_VERSION=1',
  '_LIBCPP_ABI_NAMESPACE=__1',
  '_LIBCPP_HAS_THREADS=0',
  '_LIBCPP_HAS_MONOTONIC_CLOCK',
  '_LIBCPP_HAS_MUSL_LIBC=1',
  '_LIBCPP_HAS_FILESYSTEM=0',
  '_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=0',
  '_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS',
  '_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS',
  '_LIBCPP_PSTL_BACKEND_SERIAL',
  '_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_NONE',
  '_LIBCPP_ASSERTION_SEMANTIC_DEFAULT=_LIBCPP_ASSERTION_SEMANTIC_IGNORE',
].map((name) => `-D${name}`);

/** Sources of LLVM: exceptions, type information, strings. */
const RUNTIME = {
  libcxxabi:
    'cxa_aux_runtime cxa_exception cxa_exception_storage cxa_handlers cxa_default_handlers cxa_personality cxa_virtual fallback_malloc private_typeinfo stdlib_exception stdlib_stdexcept stdlib_typeinfo'.split(
      ' ',
    ),
  libcxx: ['new_helpers', 'stdexcept', 'string'],
};

const includeFlags = (lib) =>
  [
    'libcxx/include',
    'libcxxabi/include',
    'include',
    'libc/include/wasm-wasi-musl',
    'libc/include/generic-musl',
  ].flatMap((folder) => ['-isystem', path.join(lib, folder)]);

/** Flags of single files. */
const FILE_FLAGS = {
  // No recognition of loops as calls of these very functions.
  'web/strings.cc': ['-fno-builtin'],
};

/** The sources of a module, with the flags each needs. */
function listSources(name, lib, form) {
  const { sets } = MODULES[name];
  const flagsOf = new Map(instructionSets('wasm32').map((set) => [set.name, set.flags]));
  const engine = fs
    .readdirSync(nativeDir, { recursive: true })
    .map((file) => file.split(path.sep).join('/'))
    .filter(
      (file) =>
        file.endsWith('.cc') &&
        !/^(node|test)\/|^base\/(threads|memory|pages)\.cc$|^plan\/weight-region\.cc$/.test(file),
    )
    .map((file) => ({ file, set: /^isa\/(\w+)\//.exec(file)?.[1] }))
    .filter(({ set }) => set === undefined || sets.includes(set))
    .map(({ file, set }) => ({
      object: form && set === 'wasmrelaxed' ? `${file}.${form}` : file,
      source: path.join(nativeDir, file),
      flags: [
        '-std=c++17',
        // Kernels are where time goes; a page has to fetch the rest as well. Of the scalar set vectors leave little to do.
        set === undefined || (set === 'scalar' && sets.length > 1) ? '-Os' : '-O3',
        ...(set === undefined ? [] : flagsOf.get(set)),
        ...(FILE_FLAGS[file] ?? []),
        ...(form && set === 'wasmrelaxed' ? [`-DLOWBIT_DOT_FORM=${FORMS[form]}`] : []),
      ],
    }));
  const runtime = Object.entries(RUNTIME).flatMap(([library, files]) =>
    files.map((file) => ({
      object: `${library}/${file}`,
      source: path.join(lib, library, 'src', `${file}.cpp`),
      flags: [
        '-std=c++23',
        '-Os',
        '-w',
        '-D_LIBCPP_BUILDING_LIBRARY',
        '-D_LIBCXXABI_BUILDING_LIBRARY',
        '-D_LIBCXXABI_HAS_NO_THREADS',
        '-DLIBCXX_BUILDING_LIBCXXABI',
        '-DLIBCXXABI_NON_DEMANGLING_TERMINATE',
        `-I${path.join(lib, 'libcxx', 'src')}`,
        `-I${path.join(lib, 'libunwind', 'include')}`,
      ],
    })),
  );
  const unwind = {
    object: 'libunwind/Unwind-wasm',
    source: path.join(lib, 'libunwind', 'src', 'Unwind-wasm.c'),
    flags: [
      '-x',
      'c',
      '-std=c17',
      '-Os',
      '-w',
      '-D_LIBUNWIND_HIDE_SYMBOLS',
      `-I${path.join(lib, 'libunwind', 'include')}`,
    ],
  };
  return [...engine, ...runtime, unwind];
}

const timeOf = (file) => (fs.existsSync(file) ? fs.statSync(file).mtimeMs : Number.POSITIVE_INFINITY);

/** Whether what an object was compiled from, by the list that the compiler wrote beside it, is newer. */
function isStale(object) {
  if (!fs.existsSync(object) || !fs.existsSync(`${object}.d`)) return true;
  const [, files] = fs.readFileSync(`${object}.d`, 'utf8').split(/:\s/, 2);
  const time = fs.statSync(object).mtimeMs;
  return [__filename, ...files.split(/[\s\\]+/).filter(Boolean)].some((file) => timeOf(file) > time);
}

const run = promisify(execFile);

async function compile(zig, name, form) {
  const objectDir = path.join(objectRoot, name);
  const sets = MODULES[name].sets.map((set) => ({ name: set }));
  writeIfChanged(path.join(objectDir, 'instruction-sets.inc'), describeSets(sets));
  const objects = [];
  const stale = [];
  for (const source of listSources(name, zig.lib, form)) {
    const object = path.join(objectDir, `${source.object}.o`);
    objects.push(object);
    fs.mkdirSync(path.dirname(object), { recursive: true });
    if (isStale(object)) stale.push({ ...source, object });
  }
  const flags = [
    ...FLAGS,
    ...MODULES[name].flags,
    ...LIBCXX_DEFINES,
    ...includeFlags(zig.lib),
    `-I${objectDir}`,
  ];
  const workers = Array.from({ length: os.availableParallelism() }, async () => {
    for (let job = stale.shift(); job; job = stale.shift()) {
      const { stderr } = await run(zig.program, [
        ...zig.args,
        'clang',
        ...flags,
        ...job.flags,
        '-c',
        job.source,
        '-o',
        job.object,
        '-MMD',
        '-MF',
        `${job.object}.d`,
      ]);
      if (stderr) console.error(stderr);
    }
  });
  await Promise.all(workers);
  return objects;
}

async function link(zig, objects, out) {
  await run(zig.program, [
    ...zig.args,
    'wasm-ld',
    '--no-entry',
    '--gc-sections',
    '--strip-all',
    '-O2',
    '--stack-first',
    '-z',
    'stack-size=1048576',
    '--import-memory',
    '--shared-memory',
    `--initial-memory=${INITIAL_PAGES * PAGE}`,
    `--max-memory=${MOST_PAGES * PAGE}`,
    // Hosts put functions there that read weights.
    '--export-table',
    '--growable-table',
    // Every thread has a stack.
    '--export=__stack_pointer',
    ...EXPORTS.map((symbol) => `--export=${symbol}`),
    ...objects,
    '-o',
    out,
  ]);
  markUnshared(out);
}

/**
 * Makes the memory that a module imports one that is not shared: a bit of its limits. Who has shared memory sets it
 * again (src/runtime/wasm-memory.ts), so that one file serves both.
 */
function markUnshared(file) {
  const bytes = fs.readFileSync(file);
  const limits = Buffer.concat([Buffer.from('\u0003env\u0006memory\u0002'), Buffer.of(3)]);
  const at = bytes.indexOf(limits);
  if (at < 0 || bytes.indexOf(limits, at + 1) >= 0) throw new Error(`${file} imports no shared memory.`);
  bytes[at + limits.length - 1] = 1;
  fs.writeFileSync(file, bytes);
}

async function main() {
  const check = process.argv.includes('--check');
  const named = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
  const zig = findZig();
  if (process.argv.includes('--forms')) {
    for (const form of Object.keys(FORMS)) {
      const built = path.join(root, 'build', `lowbit-relaxed-${form}.wasm`);
      await link(zig, await compile(zig, 'relaxed', form), built);
    }
    return;
  }
  fs.mkdirSync(moduleDir, { recursive: true });
  for (const name of named.length > 0 ? named : Object.keys(MODULES)) {
    const objects = await compile(zig, name);
    const built = path.join(objectRoot, `${name}.wasm`);
    await link(zig, objects, built);
    const target = path.join(moduleDir, `lowbit-${name}.wasm`);
    const same = fs.existsSync(target) && fs.readFileSync(target).equals(fs.readFileSync(built));
    if (check && !same) throw new Error(`${path.relative(root, target)} is not what its sources give.`);
    if (!same) fs.copyFileSync(built, target);
    console.log(
      `${path.relative(root, target)}: ${fs.statSync(built).size} bytes${same ? ', unchanged' : ''}`,
    );
  }
}

main().catch((error) => {
  console.error(String(error.stderr || error.message).trim());
  process.exit(1);
});
