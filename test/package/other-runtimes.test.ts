// @needs engine
/** Deno and Bun run a converted model as Node.js does. `npm run fetch:tools` brings them. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { convertDemo, type DemoModel } from '../support/demo-model';
import { describeIf } from '../support/needs';
import { projectWith, publish } from '../support/published';
import { temporaryFolder } from '../support/tiny-model';

const root = resolve(__dirname, '..', '..');
const runtimes = join(root, 'build', 'tools', 'node_modules');
const deno = join(runtimes, '@deno', 'linux-x64-glibc', 'deno');
const bun = join(runtimes, '@oven', 'bun-linux-x64', 'bin', 'bun');

const SCRIPT = `
  import * as tf from '@tensorflow/tfjs-core';
  import { loadGraphModel } from '@tensorflow/tfjs-converter';
  import '@tensorflow/tfjs-backend-cpu';
  import { engineInfo } from 'tfjs-lowbit';
  const [url, ...shape] = JSON.parse(process.env.MODEL);
  await tf.setBackend('cpu');
  const model = await loadGraphModel(url);
  const size = shape.reduce((product, dim) => product * dim, 1);
  const values = [0, 1].map((phase) => {
    const picture = Float32Array.from({ length: size }, (_, i) => ((i * 37 + phase * 11) % 256) / 255);
    return [...model.predict(tf.tensor(picture, shape)).dataSync()];
  });
  console.log(JSON.stringify({ kind: engineInfo().kind, values }));
`;

let model: DemoModel;
let folder: string;

beforeAll(async () => {
  model = await convertDemo();
  folder = projectWith(publish(), { copied: true });
  writeFileSync(join(folder, 'main.mjs'), SCRIPT);
}, 120_000);

function run(program: string, options: readonly string[], env: Readonly<Record<string, string>>) {
  const MODEL = JSON.stringify([`file://${model.folder}/model.json`, ...model.shape]);
  const DENO_DIR = join(temporaryFolder(), 'deno');
  const output = execFileSync(program, [...options, join(folder, 'main.mjs')], {
    encoding: 'utf8',
    cwd: folder,
    env: { ...process.env, MODEL, DENO_DIR, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output.trim().split('\n').at(-1)!);
}

const absent = 'a program that is not there: run npm run fetch:tools';

const LOCAL = ['--node-modules-dir=manual', '--no-remote'];

describeIf(existsSync(deno), absent, 'Deno', () => {
  test.each(['native', 'wasm'])('runs a converted model on the engine %s', (kind) => {
    const found = run(deno, ['run', '--allow-all', ...LOCAL], { LOWBIT_ENGINE: kind });
    expect(found).toEqual({ kind, values: model.expected });
  });

  test('runs it on WebAssembly where it may only read files and the environment', () => {
    const found = run(deno, ['run', '--allow-read', '--allow-env', ...LOCAL], { LOWBIT_ENGINE: '' });
    expect(found).toEqual({ kind: 'wasm', values: model.expected });
  });
});

describeIf(existsSync(bun), absent, 'Bun', () => {
  test.each(['native', 'wasm'])('runs a converted model on the engine %s', (kind) => {
    const found = run(bun, ['run'], { LOWBIT_ENGINE: kind });
    expect(found).toEqual({ kind, values: model.expected });
  });
});
