/** Projects of users, and programs that run in them. */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const tools = require('./tools');

const root = path.resolve(__dirname, '..', '..');
const TFJS = ['core', 'converter', 'backend-wasm'].map((part) => `@tensorflow/tfjs-${part}`);

/** As the README has it, with a picture that is the same everywhere. */
const EXAMPLE = `
import * as tf from '@tensorflow/tfjs-core';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import '@tensorflow/tfjs-backend-wasm';
import { engineInfo } from 'tfjs-lowbit';

await tf.setBackend('wasm');
const model = await loadGraphModel(process.env.MODEL);
const image = tf.tensor(Float32Array.from({ length: 64 * 64 * 3 }, (_, i) => ((i * 37) % 256) / 255), [1, 64, 64, 3]);
const scores = model.predict(image);
console.log(JSON.stringify({ engine: engineInfo().kind, scores: [...scores.dataSync()] }));
`;

const manifestOf = (folder) => JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
const { version } = manifestOf(root);

/** An environment with nothing of this process: no caches, no settings. */
function environment(home, node) {
  fs.mkdirSync(home, { recursive: true });
  const kept = Object.entries(process.env).filter(([key]) => !/^(npm_|LOWBIT_|CI$|NODE)/.test(key));
  return {
    ...Object.fromEntries(kept),
    PATH: [tools.nodeFolder(node), '/usr/bin', '/bin'].join(path.delimiter),
    HOME: home,
    DENO_DIR: path.join(home, 'deno'),
    NO_COLOR: '1',
  };
}

/** Runs a program; `node` is that of PATH. */
function call([program, ...args], options) {
  const file = program === 'node' ? path.join(options.env.PATH.split(path.delimiter)[0], 'node') : program;
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', ...options });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  return { status, stdout, output: `${stdout}${stderr}`, seconds };
}

/** An empty project that wants the package and TF.js, as a package manager is configured for the registry. */
function newProject(folder, { configure }, url) {
  fs.mkdirSync(folder, { recursive: true });
  const peers = TFJS.map((name) => [name, manifestOf(path.join(root, 'node_modules', name)).version]);
  const dependencies = Object.fromEntries([['tfjs-lowbit', version], ...peers]);
  const manifest = { name: 'user', version: '1.0.0', private: true, type: 'module', dependencies };
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  fs.writeFileSync(path.join(folder, 'main.mjs'), EXAMPLE);
  configure(folder, url);
  return folder;
}

/** @returns whether the example runs and gives what it gives in this clone, and on which engine */
function runExample(command, { model, expected }, options) {
  const ran = call(command, { ...options, env: { ...options.env, MODEL: model } });
  if (ran.status !== 0) {
    console.error(`\n${command.join(' ')} in ${options.cwd}:\n${ran.output}`);
    return { runs: 'NO', engine: '-' };
  }
  const { engine, scores } = JSON.parse(ran.stdout.trim().split('\n').at(-1));
  return { runs: JSON.stringify(scores) === JSON.stringify(expected) ? 'yes' : 'WRONG', engine };
}

module.exports = { call, environment, EXAMPLE, newProject, root, runExample, version };
