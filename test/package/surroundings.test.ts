// @needs engine
/** What runs around the published package: test runners, bundlers for Node.js, threads and processes, sandboxes, second copies of TF.js. */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { convertDemo, type DemoModel } from '../support/demo-model';
import { describeIf } from '../support/needs';
import { projectWith, publish } from '../support/published';

const root = resolve(__dirname, '..', '..');
const tools = join(root, 'build', 'tools', 'node_modules');
const fetched = 'packages that are not there: run npm run fetch:tools';

let published: string;
let model: DemoModel;

beforeAll(async () => {
  published = publish();
  model = await convertDemo();
}, 120_000);

const project = () => projectWith(published, { copied: true });

const IMPORTS = `
  const tf = require('@tensorflow/tfjs-core');
  const { loadGraphModel } = require('@tensorflow/tfjs-converter');
  require('@tensorflow/tfjs-backend-cpu');
  const lowbit = require('tfjs-lowbit');`;

/** Names that are there: tf, loadGraphModel. */
const PREDICT = `
  async function predict() {
    const [url, ...shape] = JSON.parse(process.env.MODEL);
    await tf.setBackend('cpu');
    const model = await loadGraphModel(url);
    const size = shape.reduce((product, dim) => product * dim, 1);
    return [0, 1].map((phase) => {
      const picture = Float32Array.from({ length: size }, (_, i) => ((i * 37 + phase * 11) % 256) / 255);
      return [...model.predict(tf.tensor(picture, shape)).dataSync()];
    });
  }`;

const PRINT = `
  predict().then((values) => console.log(JSON.stringify(values)), ({ code, message }) => console.log(code, message));`;

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, MODEL: JSON.stringify([`file://${model.folder}/model.json`, ...model.shape]) };
}

function node(folder: string, ...args: string[]): string {
  const options = { cwd: folder, env: environment(), encoding: 'utf8', stdio: 'pipe' } as const;
  return execFileSync(process.execPath, args, options).trim().split('\n').at(-1)!;
}

const succeed = ({ status, stdout, stderr }: SpawnSyncReturns<string>) => {
  if (status !== 0) throw new Error(`${stdout}${stderr}`);
};

/** What a test runner of the user's runs. */
const userTest = (imports: string, converting: string) => `
  ${imports}
  ${PREDICT}
  test('predicts', async () => {
    expect(await predict()).toEqual(JSON.parse(process.env.EXPECTED));
  });
  test('converts', async () => {
    ${converting}
    const folder = mkdtempSync(tmpdir() + '/converted-');
    const input = ${JSON.stringify(join(root, 'examples', 'demo', 'model', 'model.json'))};
    const samples = async function* ([{ name }]) {
      for (let i = 0; i < 4; i++) {
        yield { [name]: { dtype: 'float32', shape: [1, 64, 64, 3], values: new Float32Array(12288).fill(i / 4) } };
      }
    };
    await convert({ input, output: folder + '/int8', calibration: samples, recipe: 'fast' });
    const lines = 'module.exports = function* ([input]) {' +
      'yield { [input.name]: { dtype: "float32", shape: [1, 64, 64, 3], values: new Float32Array(12288) } }; }';
    writeFileSync(folder + '/samples.cjs', lines);
    const calibration = await openSamples(folder + '/samples.cjs');
    await convert({ input, output: folder + '/again', calibration, recipe: 'fast' });
  }, 60_000);`;

test('jest, as it is by default, runs and converts', () => {
  const folder = project();
  const text = userTest(
    IMPORTS,
    `const { mkdtempSync, writeFileSync } = require('node:fs');
     const { tmpdir } = require('node:os');
     const { convert, openSamples } = require('tfjs-lowbit/convert');`,
  );
  writeFileSync(join(folder, 'main.test.js'), text);
  const jest = join(dirname(require.resolve('jest/package.json')), 'bin', 'jest.js');
  const env = { ...environment(), EXPECTED: JSON.stringify(model.expected), JEST_WORKER_ID: undefined };
  succeed(spawnSync(process.execPath, [jest, '--rootDir', folder], { cwd: folder, env, encoding: 'utf8' }));
});

/** A copy of a package of TF.js, without what only browsers take. */
function copyPackage(name: string, from: string, modules: string): string {
  const target = join(modules, name);
  mkdirSync(target, { recursive: true });
  for (const file of [
    join('dist', `tf-${name.split('tfjs-')[1] ?? ''}.node.js`),
    join('dist', 'tf.node.js'),
    'package.json',
  ]) {
    if (existsSync(join(from, name, file)))
      cpSync(join(from, name, file), join(target, file), { recursive: true });
  }
  return target;
}

describe('a second copy of TF.js, with which the package was installed', () => {
  const CORE = '@tensorflow/tfjs-core';
  const CONVERTER = '@tensorflow/tfjs-converter';

  function projectWithCopies(names: readonly string[]): { folder: string; copies: string[] } {
    const folder = project();
    const modules = join(folder, 'node_modules', 'tfjs-lowbit', 'node_modules');
    return { folder, copies: names.map((name) => copyPackage(name, join(root, 'node_modules'), modules)) };
  }

  const LATER = IMPORTS.replace(/^(.*)\n(.*lowbit.*)$/s, '$2\n$1');

  test.each([
    ['before', IMPORTS],
    ['after', LATER],
  ])('says so where a model is loaded by the other, imported %s it', (_, imports) => {
    const { folder, copies } = projectWithCopies([CORE, CONVERTER]);
    writeFileSync(join(folder, 'main.js'), `${imports}${PREDICT}${PRINT}`);
    const output = node(folder, 'main.js');
    expect(output).toMatch(/^two-copies /);
    expect(output).toContain(`loaded by that in ${join(root, 'node_modules', CONVERTER)},`);
    expect(output).toContain(`with that in ${copies[1]}.`);
    expect(output).toContain("import { install } from 'tfjs-lowbit'");
  });

  test('runs where install is called with the other', () => {
    const { folder } = projectWithCopies([CORE, CONVERTER]);
    const install = "lowbit.install({ ...tf, ...require('@tensorflow/tfjs-converter') });";
    writeFileSync(join(folder, 'main.js'), `${IMPORTS}${install}${PREDICT}${PRINT}`);
    expect(JSON.parse(node(folder, 'main.js'))).toEqual(model.expected);
  });

  test('runs where only the core is there twice', () => {
    const { folder } = projectWithCopies([CORE]);
    writeFileSync(join(folder, 'main.js'), `${IMPORTS}${PREDICT}${PRINT}`);
    expect(JSON.parse(node(folder, 'main.js'))).toEqual(model.expected);
  });
});

describe('bundled for Node.js', () => {
  const entry = `${IMPORTS}${PREDICT}${PRINT}`;

  test.each([
    ['cjs', 'bundle.cjs', ''],
    [
      'esm',
      'bundle.mjs',
      "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    ],
  ] as const)('by esbuild as %s, beside the installed package', (format, name, js) => {
    const folder = project();
    writeFileSync(join(folder, 'main.js'), entry);
    const outfile = join(folder, 'built', name);
    const options = { absWorkingDir: folder, bundle: true, platform: 'node', logLevel: 'error' } as const;
    buildSync({ ...options, entryPoints: ['main.js'], format, outfile, banner: { js } });
    expect(JSON.parse(node(folder, outfile))).toEqual(model.expected);
  });

  test('conversion by esbuild, where sharp is not installed', () => {
    const folder = project();
    unlinkSync(join(folder, 'node_modules', 'sharp'));
    writeFileSync(
      join(folder, 'main.js'),
      `const { imageFolder } = require('tfjs-lowbit/convert');
       imageFolder('.')([{ name: 'x', shape: [1, 8, 8, 3], dtype: 'float32' }]).next()
         .catch(({ code, message }) => console.log(code, message));`,
    );
    const options = { absWorkingDir: folder, bundle: true, platform: 'node', logLevel: 'silent' } as const;
    buildSync({ ...options, entryPoints: ['main.js'], outfile: join(folder, 'built', 'main.cjs') });
    expect(node(folder, 'built/main.cjs')).toBe(
      'missing-package Reading images needs the package sharp, which is not installed: npm install sharp',
    );
  });

  describeIf(existsSync(join(tools, 'webpack')), fetched, 'by webpack', () => {
    test('beside the installed package', () => {
      const folder = project();
      writeFileSync(join(folder, 'main.js'), entry);
      const script = `require(${JSON.stringify(join(tools, 'webpack'))})(
        { mode: 'production', target: 'node', entry: './main.js', optimization: { minimize: false },
          output: { path: process.cwd() + '/built' } },
        (error, stats) => {
          if (error || stats.hasErrors() || stats.hasWarnings()) {
            console.error(error || stats.toString());
            process.exitCode = 1;
          }
        });`;
      succeed(spawnSync(process.execPath, ['-e', script], { cwd: folder, encoding: 'utf8' }));
      expect(JSON.parse(node(folder, 'built/main.js'))).toEqual(model.expected);
    });
  });
});

test('runs in worker threads at the same time', () => {
  const folder = project();
  const main = `
    const { isMainThread, parentPort, Worker } = require('node:worker_threads');
    ${IMPORTS}${PREDICT}
    if (isMainThread) {
      const answers = [1, 2, 3].map(() => new Promise((done, failed) => {
        new Worker(__filename).once('message', done).once('error', failed);
      }));
      Promise.all([...answers, predict()]).then((all) => console.log(JSON.stringify(all)));
    } else predict().then((values) => parentPort.postMessage(values));`;
  writeFileSync(join(folder, 'main.js'), main);
  expect(JSON.parse(node(folder, 'main.js'))).toEqual(Array(4).fill(model.expected));
});

test('runs in the processes of a cluster', () => {
  const folder = project();
  const main = `
    const cluster = require('node:cluster');
    ${IMPORTS}${PREDICT}
    if (cluster.isPrimary) {
      const answers = [];
      for (let i = 0; i < 2; i++) {
        cluster.fork().once('message', (values) => {
          if (answers.push(values) === 2) console.log(JSON.stringify(answers));
        });
      }
    } else predict().then((values) => process.send(values, () => process.exit()));`;
  writeFileSync(join(folder, 'main.js'), main);
  expect(JSON.parse(node(folder, 'main.js'))).toEqual(Array(2).fill(model.expected));
});

test('writes no file where it runs', () => {
  const folder = project();
  writeFileSync(join(folder, 'main.js'), `${IMPORTS}${PREDICT}${PRINT}`);
  const permissions = ['--experimental-permission', '--allow-fs-read=*', '--allow-addons', '--allow-worker'];
  expect(JSON.parse(node(folder, '--no-warnings', ...permissions, 'main.js'))).toEqual(model.expected);
});

describeIf(existsSync(join(tools, 'vitest')), fetched, 'vitest', () => {
  test('runs and converts', () => {
    const folder = project();
    const imports = `
      import { mkdtempSync, writeFileSync } from 'node:fs';
      import { tmpdir } from 'node:os';
      import * as tf from '@tensorflow/tfjs-core';
      import { loadGraphModel } from '@tensorflow/tfjs-converter';
      import '@tensorflow/tfjs-backend-cpu';
      import 'tfjs-lowbit';
      import { convert, openSamples } from 'tfjs-lowbit/convert';`;
    writeFileSync(join(folder, 'main.test.mjs'), userTest(imports, ''));
    const env = { ...environment(), EXPECTED: JSON.stringify(model.expected), VITEST_WORKER_ID: undefined };
    const vitest = join(tools, 'vitest', 'vitest.mjs');
    const args = [vitest, 'run', '--globals', '--root', folder];
    succeed(spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' }));
  });
});

describeIf(existsSync(join(tools, '@tensorflow', 'tfjs')), fetched, 'the union package', () => {
  test('runs a converted model', () => {
    const folder = project();
    const modules = join(folder, 'node_modules', '@tensorflow');
    unlinkSync(modules);
    mkdirSync(modules);
    const linked = ['core', 'converter', 'layers', 'backend-cpu'].map((part) => `tfjs-${part}`);
    for (const part of linked)
      symlinkSync(join(root, 'node_modules', '@tensorflow', part), join(modules, part));
    for (const part of ['tfjs', 'tfjs-data', 'tfjs-backend-webgl'])
      copyPackage(`@tensorflow/${part}`, tools, join(folder, 'node_modules'));
    const main = `
      const tf = require('@tensorflow/tfjs');
      const { loadGraphModel } = tf;
      require('tfjs-lowbit');
      ${PREDICT}${PRINT}`;
    writeFileSync(join(folder, 'main.js'), main);
    expect(JSON.parse(node(folder, 'main.js'))).toEqual(model.expected);
  });
});

/** What the declarations name that an entry reaches; each must be there. */
function packagesOfTypes(entry: string): Set<string> {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    const text = readFileSync(file, 'utf8');
    for (const [, name] of text.matchAll(/(?:from|import|require\()\s*\(?['"]([^'"]+)['"]/g)) {
      if (name.startsWith('.')) visit(resolve(dirname(file), `${name}.d.ts`));
      else packages.add(name);
    }
  };
  visit(entry);
  return packages;
}

test('public types name no package but TF.js, and none that is not published', () => {
  const { exports: entries } = JSON.parse(readFileSync(join(published, 'package.json'), 'utf8'));
  const types = new Set(JSON.stringify(entries).match(/\.\/dist\/[^"]*\.d\.ts/g));
  expect(types.size).toBeGreaterThan(5);
  for (const file of types) {
    const packages = packagesOfTypes(join(published, file));
    expect([file, [...packages].filter((name) => !/^(@tensorflow\/|node:)/.test(name))]).toEqual([file, []]);
  }
});

describeIf(existsSync(join(tools, 'typescript5')), fetched, 'TypeScript', () => {
  test.each([
    ['node16', 'node16'],
    ['esnext', 'bundler'],
    ['commonjs', 'node10'],
  ])('with module %s and moduleResolution %s finds the types', (module, moduleResolution) => {
    const folder = project();
    writeFileSync(
      join(folder, 'main.ts'),
      `import { fileSystem, setThreads } from 'tfjs-lowbit';
       import { type Config, convert, imageFolder } from 'tfjs-lowbit/convert';
       import { quantizedConv2D } from 'tfjs-lowbit/kernels';
       import { type RoutingTrace, moe } from 'tfjs-lowbit/moe';
       export const all: unknown[] = [fileSystem, setThreads, convert, imageFolder, quantizedConv2D, moe];
       export const config: Config = { recipe: 'fast', layers: [{ match: 'head/**', bits: 8 }] };
       export type Trace = RoutingTrace['logits'];
       // @ts-expect-error: there is no such recipe
       export const wrong: Config = { recipe: 'slow' };`,
    );
    const options = {
      module,
      moduleResolution,
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      target: 'es2022',
      types: [],
    };
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: ['main.ts'] }),
    );
    const tsc = join(tools, 'typescript5', 'bin', 'tsc');
    succeed(spawnSync(process.execPath, [tsc, '-p', folder], { cwd: folder, encoding: 'utf8' }));
  });
});
