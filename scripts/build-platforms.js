// Builds the packages that hold the native engine of each platform, build/platforms/NAME, on one Linux machine with the
// C++ compiler of Zig.
//
//   pip install ziglang==0.17.1                 (or $ZIG names a zig of this version)
//   npm run build:platforms                     all of scripts/platforms.js
//   npm run build:platforms -- linux-x64 ...    some of them

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { compileNative, instructionSets } = require('./compile-native');
const { GLIBC, PLATFORMS, packageOf } = require('./platforms');
const { findZig } = require('./zig');

const root = path.resolve(__dirname, '..');
const platformDir = path.join(root, 'build', 'platforms');
const objectRoot = path.join(root, 'build', 'platform-objects');

/** Zig takes a processor's name, and features after it. */
const zigFlag = (flag) => flag.replace(/^-march=armv8\.2-a/, '-mcpu=generic+v8_2a');

const FLAGS = {
  linux: [],
  darwin: [],
  // Calls of Node-API go through pointers that native/node/windows-imports.cc fills in.
  win32: ['-DBUILDING_NODE_EXTENSION', '-DNOMINMAX', '-DWIN32_LEAN_AND_MEAN'],
};

const LINK_FLAGS = {
  // All that the addon needs of C++ is inside it, and stays there: only the functions that Node.js calls are seen.
  linux: ['-shared', '-s', `-Wl,--version-script=${path.join(__dirname, 'exports.map')}`],
  // Node.js loads it as well as a bundle, on which Zig's linker (0.17.1) crashes.
  darwin: ['-dynamiclib', '-s', '-Wl,-undefined,dynamic_lookup'],
  win32: ['-shared', '-s'],
};

async function link(zig, platform, objects, out) {
  const { program, args } = zig;
  const flags = ['-target', platform.target, '-O3', '-pthread', ...LINK_FLAGS[platform.os]];
  await promisify(execFile)(program, [...args, 'c++', ...flags, ...objects, '-o', out]);
}

function manifest(platform) {
  const { version, license, engines, repository, homepage, bugs } = require('../package.json');
  const { name, os, cpu, libc } = platform;
  return {
    name: packageOf(platform),
    version,
    description: `The native engine of tfjs-lowbit for ${name}`,
    license,
    repository,
    homepage,
    bugs,
    engines,
    os: [os],
    cpu: [cpu],
    libc: libc && [libc],
    config: libc === 'glibc' ? { glibc: `>=${GLIBC}` } : undefined,
    main: 'lowbit.node',
    files: ['lowbit.node'],
    // A system's loader takes no library out of an archive.
    preferUnplugged: true,
  };
}

const README = (platform) => `# ${packageOf(platform)}

The native engine of tfjs-lowbit for ${platform.name}. It is installed with
tfjs-lowbit, by package managers that find this platform in its optional dependencies. There is nothing to import here.
`;

async function buildPlatform(zig, platform) {
  const objects = await compileNative({
    compiler: [zig.program, ...zig.args, 'c++', '-target', platform.target],
    flags: ['-Wno-ignored-optimization-argument', '-Wno-unknown-warning-option', ...FLAGS[platform.os]],
    sets: instructionSets(platform.cpu).map((set) => ({ ...set, flags: set.flags.map(zigFlag) })),
    objectDir: path.join(objectRoot, platform.name),
  });
  const folder = path.join(platformDir, platform.name);
  const addon = path.join(folder, 'lowbit.node');
  const partial = path.join(objectRoot, platform.name, 'lowbit.node');
  await link(zig, platform, objects, partial);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(partial, addon);
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest(platform), null, 2)}\n`);
  fs.writeFileSync(path.join(folder, 'README.md'), README(platform));
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  return fs.statSync(addon).size;
}

async function main() {
  const named = process.argv.slice(2);
  const names = PLATFORMS.map(({ name }) => name);
  const unknown = named.filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new Error(`No platform ${unknown.join(', ')}; there are ${names.join(', ')}.`);
  const zig = findZig();
  for (const platform of PLATFORMS) {
    if (named.length > 0 && !named.includes(platform.name)) continue;
    const bytes = await buildPlatform(zig, platform);
    console.log(`${path.join('build', 'platforms', platform.name)}: ${bytes} bytes`);
  }
}

main().catch((error) => {
  console.error(String(error.stderr || error.message).trim());
  process.exit(1);
});
