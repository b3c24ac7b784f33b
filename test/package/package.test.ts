// @needs engine
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runInNewContext } from 'node:vm';
import { buildSync } from 'esbuild';
import { engineInfo } from '../../src/runtime/current-engine';
import { projectWith, publish } from '../support/published';

const root = resolve(__dirname, '..', '..');

let published: string;

beforeAll(() => {
  published = publish();
});

const project = () => projectWith(published);

/** Something of each entry. */
const ENTRIES: readonly (readonly [entry: string, names: readonly string[]])[] = [
  ['tfjs-lowbit', ['engineInfo', 'fileSystem', 'install', 'LowbitError', 'releaseArtifacts', 'setThreads']],
  ['tfjs-lowbit/convert', ['compare', 'convert', 'imageFolder', 'inspect', 'quantizeModel', 'writeReport']],
  ['tfjs-lowbit/moe', ['expertsOf', 'fileSource', 'moe', 'readTrace', 'Router', 'simulate']],
  ['tfjs-lowbit/kernels', ['encodeProgram', 'quantize', 'quantizedConv2D', 'quantizedSoftmax']],
  ['tfjs-lowbit/layers', ['attachExperts', 'MoELayer']],
];

function run(folder: string, file: string, env: NodeJS.ProcessEnv = {}): string {
  // The links stand for installed packages, so they are kept as they are.
  const flags = ['--preserve-symlinks', '--preserve-symlinks-main'];
  const options = { encoding: 'utf8', cwd: folder, env: { ...process.env, ...env } } as const;
  return execFileSync(process.execPath, [...flags, join(folder, file)], options).trim();
}

test.each(ENTRIES)('%s works from CommonJS and from ES modules, with named imports', (entry, names) => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `const { ${names} } = require('${entry}');
     console.log([${names}].map((value) => typeof value).join());`,
  );
  writeFileSync(
    join(folder, 'main.mjs'),
    `import { ${names} } from '${entry}';
     console.log([${names}].map((value) => typeof value).join());`,
  );
  const expected = names.map(() => 'function').join();
  expect([run(folder, 'main.js'), run(folder, 'main.mjs')]).toEqual([expected, expected]);
});

test.each(['tfjs-lowbit', 'tfjs-lowbit/convert', 'tfjs-lowbit/moe', 'tfjs-lowbit/kernels'])(
  'importing %s registers the kernels and provides an engine',
  (entry) => {
    const folder = project();
    writeFileSync(
      join(folder, 'main.mjs'),
      `import '${entry}';
       import { runInNewContext } from 'node:vm';
import { buildSync } from 'esbuild';
import { engineInfo } from 'tfjs-lowbit';
       import * as tf from '@tensorflow/tfjs-core';
       console.log(tf.getKernel('QuantizedRegion', 'wasm').backendName, engineInfo().kind);`,
    );
    expect(run(folder, 'main.mjs')).toBe(`wasm ${engineInfo().kind}`);
  },
);

test('kernels are typed functions that run', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `const tf = require('@tensorflow/tfjs-core');
     require('@tensorflow/tfjs-backend-cpu');
     const { quantize } = require('tfjs-lowbit/kernels');
     console.log(quantize(tf.tensor1d([-1, 0, 0.5]), { scale: 0.5, zeroPoint: 1 }).dataSync().join());`,
  );
  expect(run(folder, 'main.js')).toBe('-1,1,2');
});

test('the build for browsers has the names of the default build, and says in Node.js what it lacks', () => {
  const folder = project();
  const { exports } = JSON.parse(readFileSync(join(published, 'package.json'), 'utf8'));
  const target = (entry: string) =>
    JSON.stringify(join(folder, 'node_modules', 'tfjs-lowbit', exports[entry].default));
  writeFileSync(
    join(folder, 'main.mjs'),
    `import * as names from ${target('.')};
     import { quantize } from ${target('./kernels')};
     console.log(Object.keys(names).join(), typeof quantize);
     try { names.engineInfo(); } catch (error) { console.log(error.code, error.message); }`,
  );
  const [names, message] = run(folder, 'main.mjs').split('\n');
  expect(names).toBe(
    'LowbitError,engineInfo,getThreads,install,ready,releaseArtifacts,setIsa,setMaxMemory,setThreads,setWasmPaths function',
  );
  expect(message).toMatch(
    /^engine-unavailable .*native\/web\/modules\/lowbit-(simd|relaxed)\.wasm: it is not there yet\. Await ready\(\)/,
  );
});

/** What a bundler makes of a page's script. */
function bundled(code: string): string {
  const folder = project();
  writeFileSync(join(folder, 'main.js'), code);
  const { outputFiles } = buildSync({
    entryPoints: [join(folder, 'main.js')],
    bundle: true,
    write: false,
    format: 'iife',
    preserveSymlinks: true,
    logLevel: 'silent',
  });
  return outputFiles[0].text;
}

test.each(['moe', 'layers'])('a page that imports tfjs-lowbit/%s is told that it is for Node.js', (entry) => {
  const code = bundled(
    `import { expertsOf, MoELayer } from 'tfjs-lowbit/${entry}'; console.log(expertsOf, MoELayer);`,
  );
  expect(() => runInNewContext(code)).toThrow(
    /^'tfjs-lowbit\/moe' and 'tfjs-lowbit\/layers' are for Node\.js/,
  );
});

test('a bundler takes the build for browsers of tfjs-lowbit/convert', () => {
  expect(bundled(`import { quantizeModel } from 'tfjs-lowbit/convert'; quantizeModel();`)).not.toMatch(
    /require\("(node:)?(fs|path)/,
  );
});

test('only the entries can be imported, and the command runs', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `try { require('tfjs-lowbit/dist/node/index.js'); } catch (error) { console.log(error.code); }`,
  );
  expect(run(folder, 'main.js')).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED');
  const { bin, version } = JSON.parse(readFileSync(join(published, 'package.json'), 'utf8'));
  const main = join(folder, 'node_modules', 'tfjs-lowbit', bin['tfjs-lowbit']);
  const flags = ['--preserve-symlinks', '--preserve-symlinks-main'];
  expect(execFileSync(process.execPath, [...flags, main, '--version'], { encoding: 'utf8' }).trim()).toBe(
    version,
  );
});

/** What the compiler has to say of main.ts. */
function typecheck(folder: string, options: object): string {
  const common = { target: 'es2022', strict: true, skipLibCheck: true, noEmit: true, types: [] };
  const config = { compilerOptions: { ...common, ...options }, files: ['main.ts'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
  return stdout;
}

test('works from TypeScript', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.ts'),
    `import { fileSystem, LowbitError, setThreads } from 'tfjs-lowbit';
     import { convert, imageFolder, quantizeModel, type ConvertReport, type SampleSource } from 'tfjs-lowbit/convert';
     import { type QuantizedFilter, quantizedConv2D, type QuantizedConv2DAttrs } from 'tfjs-lowbit/kernels';
     import { MoELayer } from 'tfjs-lowbit/layers';
     import { expertsOf, moe, type MixtureOptions } from 'tfjs-lowbit/moe';
     export const all = [fileSystem, LowbitError, setThreads, quantizeModel, quantizedConv2D, MoELayer, expertsOf, moe];
     export type All = [QuantizedFilter, QuantizedConv2DAttrs, MixtureOptions];
     const calibration: SampleSource = imageFolder('photos', { imageSize: 224, color: 'bgr' });
     export async function main(): Promise<ConvertReport> {
       return convert({ input: 'a/model.json', output: 'b', calibration, samples: 64 });
     }
     // @ts-expect-error: the color is misspelt
     imageFolder('photos', { color: 'brg' });`,
  );
  expect(typecheck(folder, { module: 'nodenext' })).toBe('');
});

test("works from TypeScript for a page, whose bundler's conditions are told", () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.ts'),
    `import { LowbitError, ready, setWasmPaths } from 'tfjs-lowbit';
     import { quantizeModel } from 'tfjs-lowbit/convert';
     export const all = [LowbitError, ready, setWasmPaths, quantizeModel];
     // @ts-expect-error: what reads files is not there
     export { imageFolder } from 'tfjs-lowbit/convert';`,
  );
  const options = {
    module: 'esnext',
    moduleResolution: 'bundler',
    customConditions: ['browser'],
    lib: ['es2022', 'dom'],
  };
  expect(typecheck(folder, options)).toBe('');
});

test('importing it loads a few files, and no package but TF.js', () => {
  const folder = project();
  writeFileSync(
    join(folder, 'main.js'),
    `const tf = require('@tensorflow/tfjs-converter');
     const before = new Set(Object.keys(require.cache));
     require('tfjs-lowbit');
     console.log(Object.keys(require.cache).filter((file) => !before.has(file)).join(' '));`,
  );
  const files = run(folder, 'main.js').split(' ');
  expect(files.filter((file) => !file.includes('/tfjs-lowbit/dist/node/'))).toEqual([]);
  expect(files.length).toBeLessThan(8);
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
