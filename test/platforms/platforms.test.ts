/**
 * The packages of platforms that are there (`npm run build:platforms`), as far as this machine can judge them: their form,
 * and where scripts/platform-node.js has a Node.js that runs here, the kernels' reference suites in it.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { VERSION } from '../../src/base/version';
import { readMachO, readPortableExecutable } from '../support/binaries';
import { bundleForNode } from '../support/page/bundle';
import { temporaryFolder } from '../support/tiny-model';

const { GLIBC, MACOS, PLATFORMS, packageOf } = require('../../scripts/platforms');
const { nodeOf, programOf, runNode } = require('../../scripts/platform-node');

interface Platform {
  readonly name: string;
  readonly os: string;
  readonly cpu: string;
  readonly libc?: string;
}

const root = resolve(__dirname, '..', '..');
const CASES = Number(process.env.LOWBIT_TEST_CASES ?? 1);
const MINUTES = 60_000;
/** What Node.js calls; all else of C and C++ stays inside. */
const ENTRIES = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

const folderOf = ({ name }: Platform) => join(root, 'build', 'platforms', name);
const addonOf = (platform: Platform) => join(folderOf(platform), 'lowbit.node');

/** The dynamic symbols of a library for Linux, and what it needs. */
function readElf(file: string) {
  const read = (...args: string[]) => execFileSync('readelf', ['-W', ...args, file], { encoding: 'utf8' });
  const symbols = read('--dyn-syms')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => /^\d+:$/.test(fields[0]) && fields[7]);
  return {
    machine: /Machine:\s+(.*)/.exec(read('-h'))?.[1],
    exported: symbols.filter(([, , , , , , section]) => section !== 'UND').map((fields) => fields[7]),
    undefined: symbols.filter(([, , , , , , section]) => section === 'UND').map((fields) => fields[7]),
    libraries: [...read('-d').matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library),
  };
}

const LINUX_MACHINES: Readonly<Record<string, string>> = {
  x64: 'Advanced Micro Devices X86-64',
  arm64: 'AArch64',
};

function checkLinux(platform: Platform): void {
  const { machine, exported, undefined: missing, libraries } = readElf(addonOf(platform));
  expect(machine).toBe(LINUX_MACHINES[platform.cpu]);
  expect(exported.sort()).toEqual(ENTRIES);
  const outer = /^(libc|libm|libdl|libpthread|librt|ld-linux-[\w-]+)\.so(\.\d)?$/;
  expect(libraries.filter((library) => !outer.test(library))).toEqual([]);
  const versions = missing.flatMap((symbol) => /@GLIBC_([\d.]+)/.exec(symbol)?.[1] ?? []);
  const [major, minor] = GLIBC.split('.').map(Number);
  const newer = versions.filter((version) => {
    const [a, b] = version.split('.').map(Number);
    return a > major || (a === major && b > minor);
  });
  expect(newer).toEqual([]);
  expect(versions.length > 0).toBe(platform.libc === 'glibc');
}

function checkMac(platform: Platform): void {
  const found = readMachO(readFileSync(addonOf(platform)));
  expect(found).toMatchObject({ arch: platform.cpu, minimum: MACOS });
  // Zig's linker hides neither its own names nor `operator new` and `delete`, of which macOS makes one in all of a program.
  const ownNames = /^(___dso_handle|__mh_dylib_header|__Z(n|d)[aw]?[lP]\w*|__Zn[aw]m\w*)$/;
  const exported = found.exported.filter((name) => !ownNames.test(name));
  expect(exported.sort()).toEqual(ENTRIES.map((name) => `_${name}`));
  expect(found.libraries).toEqual(['/usr/lib/libSystem.B.dylib']);
  // Node-API is looked up in the program.
  const inProgram = found.bound.filter(({ ordinal }) => ordinal === -2).map(({ name }) => name);
  expect(inProgram.length).toBeGreaterThan(30);
  expect(inProgram.filter((name) => !/^_napi_|^dyld_stub_binder$/.test(name))).toEqual([]);
  // Without one macOS refuses to load code on Arm.
  if (platform.cpu === 'arm64') expect(found.adHocSignature).toBe(true);
}

function checkWindows(platform: Platform): void {
  const { arch, isLibrary, exported, libraries } = readPortableExecutable(readFileSync(addonOf(platform)));
  expect({ arch, isLibrary }).toEqual({ arch: platform.cpu, isLibrary: true });
  expect(exported.sort()).toEqual(ENTRIES);
  // Of Windows itself; no program is named.
  const outer = /^(kernel32|ntdll|api-ms-win-crt-\w+-l1-1-0|ucrtbase)\.dll$/i;
  expect(libraries.filter((library) => !outer.test(library))).toEqual([]);
}

/** The instruction sets of this machine as Linux tells them; of qemu's best processor all that there are. */
function expectedSets(cpu: string): string[] {
  if (cpu === 'arm64') return ['scalar', 'neon', 'neondot', 'neoni8mm'];
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))![1].trim().split(/\s+/);
  const needs = {
    scalar: [],
    avx2: ['avx2', 'f16c'],
    avxvnni: ['avx2', 'f16c', 'avx_vnni'],
    avx512vnni: ['avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni'],
  };
  return Object.entries(needs)
    .filter(([, features]) => features.every((feature) => flags.includes(feature)))
    .map(([name]) => name);
}

const CHECKS: Readonly<Record<string, (platform: Platform) => void>> = {
  linux: checkLinux,
  darwin: checkMac,
  win32: checkWindows,
};

let suites: string;

beforeAll(async () => {
  const folder = join(root, 'build', 'suites-of-platforms');
  if (PLATFORMS.some((platform: Platform) => existsSync(addonOf(platform))))
    await bundleForNode(folder, CASES);
  suites = join(folder, 'suites.cjs');
}, 2 * MINUTES);

const skipped = (name: string, need: string, body: () => void) =>
  describe.skip(`${name} (needs ${need})`, body);

for (const platform of PLATFORMS as Platform[]) {
  const built = existsSync(addonOf(platform));
  const describeBuilt = built
    ? describe
    : (name: string, body: () => void) => skipped(name, `npm run build:platforms -- ${platform.name}`, body);

  describeBuilt(platform.name, () => {
    test('the package has a manifest, the addon, a licence and a README', () => {
      const { name, os, cpu, libc } = platform;
      const manifest = JSON.parse(readFileSync(join(folderOf(platform), 'package.json'), 'utf8'));
      expect(manifest).toMatchObject({ name: packageOf(platform), version: VERSION, os: [os], cpu: [cpu] });
      expect(manifest.libc).toEqual(libc && [libc]);
      expect(manifest.scripts).toBeUndefined();
      expect(readdirSync(folderOf(platform)).sort()).toEqual([
        'LICENSE',
        'README.md',
        'lowbit.node',
        'package.json',
      ]);
      expect(readFileSync(join(folderOf(platform), 'README.md'), 'utf8')).toContain(name);
    });

    test('the addon is of the platform, shows what Node.js calls, and needs the system alone', () =>
      CHECKS[platform.os](platform));
  });

  const { missing, ...node } = nodeOf(platform.name);
  if (!built) continue;
  const describeNode = missing ? (name: string, body: () => void) => skipped(name, missing, body) : describe;

  describeNode(`${platform.name} in its Node.js`, () => {
    const env = { LOWBIT_ADDON: addonOf(platform), LOWBIT_ENGINE: 'native', LOWBIT_ISA: '' };
    // Wine shows the root of this machine as drive Z.
    const inWine = (file: string) => (platform.os === 'win32' ? `Z:${file.replaceAll('/', '\\')}` : file);
    const settings = { ...env, LOWBIT_ADDON: inWine(env.LOWBIT_ADDON) };

    function runScript(command: object, file: string) {
      const { status, output } = runNode(command, [inWine(file)], { env: settings, cwd: root });
      if (status !== 0) throw new Error(output);
      return JSON.parse(output.trim().split('\n').at(-1)!);
    }

    const exercise = join(__dirname, 'exercise.js');

    function checkExercise(command: object): void {
      const found = runScript(command, exercise);
      const { experts, direct, absent, worker, limits, isas, chosen, refused, memory, threads } = found;
      expect(experts).toEqual({
        zeros: true,
        equal: true,
        pastTheEnd: expect.stringMatching(/^invalid-weights: .* ends at byte 12288/),
      });
      // A file system may not read past the page cache.
      expect([experts, 'its file system does not read past the page cache']).toContainEqual(direct);
      expect(absent).toMatch(/^io: \S+/);
      expect([worker, limits]).toEqual([5, 5]);
      expect(isas).toEqual(expectedSets(platform.cpu));
      expect(chosen).toBe('scalar');
      expect(refused).toMatch(/^invalid-argument: LOWBIT_ISA 'z80'/);
      expect(memory).toBeGreaterThan(0);
      expect(memory).toBeLessThan(0.6);
      expect(threads).toBe(3);
    }

    test('what the addon asks of the operating system works', () => checkExercise(node), 10 * MINUTES);

    if (platform.os === 'win32') {
      // Electron, Bun and Deno have their own names.
      test('a program of another name than node.exe loads it', () => {
        const renamed = join(temporaryFolder(), 'app.exe');
        copyFileSync(programOf(platform.name), renamed);
        expect(basename(renamed)).not.toBe('node.exe');
        checkExercise(nodeOf(platform.name, renamed));
      }, 600_000);
    }

    test(
      'the reference suites of the kernels pass on every instruction set',
      () => {
        const { isas, count, failures } = runScript(node, suites);
        expect(failures).toEqual([]);
        expect(count).toBeGreaterThan(500);
        console.log(`${platform.name}: ${count} tests on ${isas.join(', ')}, ${CASES} cases of each series`);
      },
      60 * MINUTES,
    );
  });
}
