// Every package manager, with its defaults, installs what build/release holds into an empty project and runs the README's
// example there. Registry and package managers run on this machine; TF.js comes from npm.
//
//   npm run ci:long -- package-managers
//   node test/package-managers/run.js npm        those whose name contains a word

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Table = require('cli-table3');
const { MANAGERS } = require('./managers');
const { publish, startRegistry } = require('./registry');
const tools = require('./tools');

const root = path.resolve(__dirname, '..', '..');
const releaseDir = path.join(root, 'build', 'release');
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

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'package-managers-'));

/** An environment of its own: nothing was installed or configured before. */
function environment(name, node) {
  const home = path.join(temporary, `home-${name}`);
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

function call([program, ...args], options) {
  const file = program === 'node' ? path.join(options.env.PATH.split(path.delimiter)[0], 'node') : program;
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', ...options });
  return { status, stdout, output: `${stdout}${stderr}` };
}

function versionOf(name) {
  return JSON.parse(fs.readFileSync(path.join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
}

/** An empty project that wants the package and TF.js. */
function project(name, configure, url) {
  const folder = path.join(temporary, `project-${name}`);
  fs.mkdirSync(folder);
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const dependencies = Object.fromEntries([
    ['tfjs-lowbit', version],
    ...TFJS.map((peer) => [peer, versionOf(peer)]),
  ]);
  fs.writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'user', version: '1.0.0', private: true, type: 'module', dependencies }),
  );
  fs.writeFileSync(path.join(folder, 'main.mjs'), EXAMPLE);
  configure(folder, url);
  return folder;
}

const last = (text) => text.trim().split('\n').at(-1);

/** Installs and runs the example by one package manager. */
function tryManager({ name, node, configure, install, run }, { url, model, expected }) {
  const slug = name.replace(/\W+/g, '-');
  const env = environment(slug, node);
  const folder = project(slug, configure, url);
  const start = performance.now();
  const installed = call(install, { cwd: folder, env });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const result = { name, node, installs: 'yes', runs: '-', engine: '-', seconds };
  if (installed.status !== 0) {
    console.error(`\n${name} does not install:\n${installed.output}`);
    return { ...result, installs: 'NO' };
  }
  // It may tell of scripts that it has not run; of ours there are none.
  if (/tfjs-lowbit.*script|script.*tfjs-lowbit/i.test(installed.output)) result.installs = 'asks for scripts';
  const ran = call(run, { cwd: folder, env: { ...env, MODEL: model } });
  if (ran.status !== 0) {
    console.error(`\n${name} does not run the example:\n${ran.output}`);
    return { ...result, runs: 'NO' };
  }
  const { engine, scores } = JSON.parse(last(ran.stdout));
  const same = JSON.stringify(scores) === JSON.stringify(expected);
  return { ...result, runs: same ? 'yes' : 'WRONG', engine };
}

/** What the example gives in this clone. */
function expectedScores(model) {
  const script = EXAMPLE.replace("'tfjs-lowbit'", JSON.stringify(path.join(root, 'dist/src/index.node.js')));
  const file = path.join(root, 'build', 'package-managers-example.mjs');
  fs.writeFileSync(file, script);
  const output = execFileSync(process.execPath, [file], {
    encoding: 'utf8',
    env: { ...process.env, MODEL: model },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  fs.rmSync(file);
  return JSON.parse(last(output)).scores;
}

function convertDemo() {
  const output = path.join(temporary, 'model');
  const input = path.join(root, 'examples', 'demo', 'model', 'model.json');
  const convert = ['convert', '--input', input, '--output', output, '--calibration', 'random'];
  execFileSync(process.execPath, [path.join(root, 'dist/src/cli/main.js'), ...convert], { stdio: 'ignore' });
  return `file://${output}/model.json`;
}

function print(results) {
  const head = ['package manager', 'Node.js', 'installs', 'example runs', 'engine', 'seconds'];
  const table = new Table({ head, style: { head: [], border: [] } });
  table.push(...results.map((row) => [row.name, row.node, row.installs, row.runs, row.engine, row.seconds]));
  console.log(`\n${table}`);
}

async function main() {
  const wanted = process.argv[2] ?? '';
  tools.fetchTools();
  const { url, stop } = await startRegistry(temporary);
  try {
    const tarballs = fs.readdirSync(releaseDir).filter((file) => file.endsWith('.tgz'));
    for (const file of tarballs) publish(url, path.join(releaseDir, file), environment('publisher', 24));
    console.log(`published on ${url}: ${tarballs.join(', ')}`);
    const model = convertDemo();
    const context = { url, model, expected: expectedScores(model) };
    const results = MANAGERS.filter(({ name }) => name.includes(wanted)).map((manager) =>
      tryManager(manager, context),
    );
    print(results);
    const good = ({ installs, runs, engine }) => installs === 'yes' && runs === 'yes' && engine === 'native';
    if (!results.every(good)) process.exitCode = 1;
  } finally {
    stop();
  }
}

main().then(() => fs.rmSync(temporary, { recursive: true, force: true }));
