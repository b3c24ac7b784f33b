import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from '../support/tiny-model';

const root = resolve(__dirname, '..', '..');

/** A user's project, with this package (as it is published) and what it depends on installed. */
function project(): string {
  const folder = temporaryFolder();
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'tfjs-lowbit'), { recursive: true });
  for (const entry of readdirSync(join(root, 'node_modules'))) {
    symlinkSync(join(root, 'node_modules', entry), join(modules, entry));
  }
  for (const entry of ['package.json', 'dist', 'build']) {
    symlinkSync(join(root, entry), join(modules, 'tfjs-lowbit', entry));
  }
  writeFileSync(join(folder, 'package.json'), '{"name": "user", "private": true}');
  return folder;
}

function run(folder: string, file: string, env: NodeJS.ProcessEnv = {}): string {
  // The links stand for installed packages, so they are kept as they are.
  const flags = ['--preserve-symlinks', '--preserve-symlinks-main'];
  const options = { encoding: 'utf8', cwd: folder, env: { ...process.env, ...env } } as const;
  return execFileSync(process.execPath, [...flags, join(folder, file)], options).trim();
}

test('works from CommonJS', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `const lowbit = require('tfjs-lowbit');
     const tf = require('@tensorflow/tfjs-core');
     console.log(typeof lowbit.convert, tf.getKernel('QuantizedRegion', 'cpu').backendName);`,
  );
  expect(run(folder, 'main.js')).toBe('function cpu');
});

test('works from ES modules, with named imports', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.mjs'),
    `import 'tfjs-lowbit';
     import { convert, compare, inspect, imageFolder, setThreads, quantizedConv2D, LowbitError } from 'tfjs-lowbit';
     import * as tf from '@tensorflow/tfjs-core';
     const all = [convert, compare, inspect, imageFolder, setThreads, quantizedConv2D, LowbitError];
     console.log(all.every((f) => typeof f === 'function'), tf.getKernel('QuantizedRegion', 'wasm').backendName);`,
  );
  expect(run(folder, 'main.mjs')).toBe('true wasm');
});

test('works from TypeScript', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.ts'),
    `import { convert, imageFolder, type ConvertReport, type SampleSource } from 'tfjs-lowbit';
     const calibration: SampleSource = imageFolder('photos', { imageSize: 224, color: 'bgr' });
     export async function main(): Promise<ConvertReport> {
       return convert({ input: 'a/model.json', output: 'b', calibration, samples: 64 });
     }
     // @ts-expect-error: the color is misspelt
     imageFolder('photos', { color: 'brg' });`,
  );
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  expect(execFileSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })).toBe('');
});

test('importing it loads neither the image library nor the native engine', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `require('tfjs-lowbit');
     console.log(Object.keys(require.cache).filter((file) => /sharp|lowbit\\.node/.test(file)).length);`,
  );
  expect(run(folder, 'main.js')).toBe('0');
});

test('without the native engine, the first use says what is missing', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `const { engineInfo } = require('tfjs-lowbit');
     try { engineInfo(); } catch (error) { console.log(error.code, error.message); }`,
  );
  const said = run(folder, 'main.js', { LOWBIT_ADDON: join(folder, 'absent.node') });
  expect(said).toMatch(/^engine-unavailable The native engine .* run `npm rebuild tfjs-lowbit`/s);
});
