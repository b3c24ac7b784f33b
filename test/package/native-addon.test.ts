// @needs engine
/** Where the native engine is looked for, and what one is told where it is not. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { VERSION } from '../../src/base/version';
import { platformPackage } from '../../src/runtime/platform-package';
import { projectWith } from '../support/published';
import { temporaryFolder } from '../support/tiny-model';

const { missingAddon } = require('../needs-engine');
const { PLATFORMS, packageOf } = require('../../scripts/platforms');
const { writePackage } = require('../../scripts/package-contents');

const root = resolve(__dirname, '..', '..');
const addon = join(root, 'build', 'lowbit.node');
const name = platformPackage()!;
const withAddon = missingAddon() === undefined ? test : test.skip;

/** As it is published, without the folder build. */
const published = join(temporaryFolder(), 'package');

beforeAll(() => writePackage(published, []));

const project = () => projectWith(published, { copied: true });

/** Installs a package for this platform. */
function installPlatform(folder: string, { version = VERSION, content = addon } = {}): void {
  const target = join(folder, 'node_modules', name);
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'package.json'), JSON.stringify({ name, version, main: 'lowbit.node' }));
  copyFileSync(content, join(target, 'lowbit.node'));
}

function run(folder: string, settings: NodeJS.ProcessEnv = {}) {
  writeFileSync(
    join(folder, 'main.js'),
    `const { engineInfo } = require('tfjs-lowbit');
     try {
       console.log(engineInfo().kind);
       console.log(Object.keys(require.cache).filter((file) => file.endsWith('.node')).join());
     } catch (error) { console.log(error.code, error.message); }`,
  );
  const env = { ...process.env, LOWBIT_ADDON: '', LOWBIT_ENGINE: '', ...settings };
  const options = { cwd: folder, encoding: 'utf8', env } as const;
  const { stdout, stderr } = spawnSync(process.execPath, ['main.js'], options);
  return { stdout: stdout.trim(), stderr: stderr.trim() };
}

test('every platform has a name by which its own machines find it', () => {
  const { platform, arch } = process;
  const set = (values: object) => Object.defineProperties(process, Object.getOwnPropertyDescriptors(values));
  try {
    const found = PLATFORMS.filter(({ libc }: { libc?: string }) => libc !== 'musl').map(
      ({ os, cpu }: { os: string; cpu: string }) => {
        set({ platform: os, arch: cpu });
        return platformPackage();
      },
    );
    const names = PLATFORMS.map(packageOf).filter((each: string) => !each.includes('musl'));
    expect(found).toEqual(names);
    set({ platform: 'freebsd', arch: 'x64' });
    expect(platformPackage()).toBeUndefined();
    set({ platform: 'linux', arch: 'riscv64' });
    expect(platformPackage()).toBeUndefined();
  } finally {
    set({ platform, arch });
  }
});

withAddon('the package of the platform is found', () => {
  const folder = project();
  installPlatform(folder);
  const { stdout, stderr } = run(folder);
  expect(stdout).toBe(`native\n${join(folder, 'node_modules', name, 'lowbit.node')}`);
  expect(stderr).toBe('');
});

withAddon('LOWBIT_ADDON goes before an addon built here, and that before the package of the platform', () => {
  const folder = project();
  installPlatform(folder);
  const built = join(folder, 'node_modules', 'tfjs-lowbit', 'build', 'lowbit.node');
  mkdirSync(join(built, '..'));
  copyFileSync(addon, built);
  expect(run(folder).stdout).toBe(`native\n${built}`);
  expect(run(folder, { LOWBIT_ADDON: addon }).stdout).toBe(`native\n${addon}`);
});

const INSTALL = `Install it: npm install ${name}@${VERSION}`;

test('without the package one warning names it, and WebAssembly runs', () => {
  const { stdout, stderr } = run(project());
  expect(stdout).toBe('wasm');
  expect(stderr).toBe(
    `The native engine of tfjs-lowbit is not available: ${name}, which has it for this platform, is not installed.
${INSTALL}
The WebAssembly engine runs instead; LOWBIT_ENGINE=wasm asks for it without this warning.`,
  );
});

test('where the native engine is asked for, the error names the package', () => {
  const { stdout, stderr } = run(project(), { LOWBIT_ENGINE: 'native' });
  expect(stdout).toMatch(/^engine-unavailable The native engine .* is not installed\./);
  expect(stdout).toContain(INSTALL);
  expect(stderr).toBe('');
});

test('a package of another version is not loaded', () => {
  const folder = project();
  installPlatform(folder, { version: '0.0.1', content: __filename });
  const { stdout } = run(folder, { LOWBIT_ENGINE: 'native' });
  expect(stdout).toContain(`${name} is of version 0.0.1, but tfjs-lowbit of ${VERSION}.\n${INSTALL}`);
});

test('a package that cannot be loaded says why', () => {
  const folder = project();
  installPlatform(folder, { content: __filename });
  const { stdout, stderr } = run(folder);
  expect(stdout).toBe('wasm');
  expect(stderr).toContain(`${name} cannot be loaded: `);
});

test('an absent addon that LOWBIT_ADDON names is an error only where the native engine is asked for', () => {
  const folder = project();
  const LOWBIT_ADDON = join(folder, 'absent.node');
  expect(run(folder, { LOWBIT_ADDON })).toEqual({ stdout: 'wasm', stderr: '' });
  const { stdout } = run(folder, { LOWBIT_ADDON, LOWBIT_ENGINE: 'native' });
  expect(stdout).toContain(`is not available: LOWBIT_ADDON is ${LOWBIT_ADDON}: `);
});
