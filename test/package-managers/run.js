// Every package manager, with its defaults, installs what build/release holds into an empty project and runs the README's
// example there; lock files of other platforms are followed; every version of Node.js runs what was installed; npx converts.
// Registry and package managers run on this machine; TF.js comes from npm.
//
//   npm run ci:long -- package-managers
//   node test/package-managers/run.js npm        those whose name contains a word

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Table = require('cli-table3');
const sharp = require('sharp');
const { PLATFORMS } = require('../../scripts/platforms');
const { convertByCommand } = require('../support/convert-by-command');
const { tryLambda } = require('./lambda');
const { LOCKING, tryLocks } = require('./locks');
const { MANAGERS } = require('./managers');
const { call, environment, EXAMPLE, newProject, root, runExample, version } = require('./project');
const { publish, startRegistry } = require('./registry');
const tools = require('./tools');

const releaseDir = path.join(root, 'build', 'release');
const demo = path.join(root, 'examples', 'demo', 'model', 'model.json');
const HERE = 'linux-x64';

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'package-managers-'));
const folderFor = (what, name) => path.join(temporary, `${what}-${String(name).replace(/\W+/g, '-')}`);

/** Installs and runs the example by one package manager. */
function tryManager(manager, context) {
  const { name, node, install, run } = manager;
  const options = {
    cwd: newProject(folderFor('project', name), manager, context.url),
    env: environment(folderFor('home', name), node),
  };
  const { status, output, seconds } = call(install, options);
  const row = { name, 'Node.js': node, installs: 'yes', runs: '-', engine: '-', seconds };
  if (status !== 0) {
    console.error(`\n${name} does not install:\n${output}`);
    return { ...row, installs: 'NO', good: false };
  }
  // It may tell of scripts that it has not run; of ours there are none.
  if (/tfjs-lowbit.*script|script.*tfjs-lowbit/i.test(output)) row.installs = 'asks for scripts';
  const { runs, engine } = runExample(run, context, options);
  return { ...row, runs, engine, good: row.installs === 'yes' && runs === 'yes' && engine === 'native' };
}

/** What one version of Node.js has installed runs on all. */
function tryNode(version, context) {
  const options = {
    cwd: folderFor('project', 'npm 11'),
    env: environment(folderFor('node', version), version),
  };
  const { runs, engine } = runExample(['node', 'main.mjs'], context, options);
  return { 'Node.js': version, runs, engine, good: runs === 'yes' && engine === 'native' };
}

/** Converts on images in an empty folder, by one command. */
function tryNpx(npm, node, { url, images }) {
  const name = `npm ${npm}`;
  const cwd = folderFor('npx', name);
  fs.mkdirSync(cwd);
  const env = { ...environment(folderFor('npx-home', name), node), npm_config_registry: url };
  const convert = ['convert', '--input', demo, '--output', 'int8', '--calibration', images];
  const command = ['node', tools.npx(npm), '--yes', `tfjs-lowbit@${version}`, ...convert];
  const { status, output, seconds } = call(command, { cwd, env });
  const good = status === 0 && fs.existsSync(path.join(cwd, 'int8', 'model.json'));
  if (!good) console.error(`\nnpx of ${name}: ${output}`);
  return { 'npx of': name, converts: good ? 'yes' : 'NO', seconds, good };
}

/** What the example gives in this clone. */
function expectedScores(model) {
  const script = EXAMPLE.replace("'tfjs-lowbit'", JSON.stringify(path.join(root, 'dist/src/index.node.js')));
  const file = path.join(root, 'build', 'package-managers', 'example.mjs');
  fs.writeFileSync(file, script);
  const options = {
    encoding: 'utf8',
    env: { ...process.env, MODEL: model },
    stdio: ['ignore', 'pipe', 'ignore'],
  };
  return JSON.parse(execFileSync(process.execPath, [file], options).trim().split('\n').at(-1)).scores;
}

/** @returns the folder of the converted model */
function convert(input, name) {
  const output = path.join(temporary, name);
  convertByCommand(input, output, '--recipe', 'fast');
  return output;
}

/** The zip for AWS Lambda, with a large model where it is there. */
function lambdaRow() {
  const mobileNet = path.join(root, '..', 'shared', 'models', 'mobilenet_v2_1.0_224_float', 'model.json');
  const large = fs.existsSync(mobileNet);
  return tryLambda({
    installed: folderFor('project', 'npm 11'),
    platform: HERE,
    model: large ? convert(mobileNet, 'mobilenet_v2_1.0_224') : convert(demo, 'demo'),
    shape: large ? [1, 224, 224, 3] : [1, 64, 64, 3],
    folder: folderFor('lambda', HERE),
    env: environment(folderFor('home', 'lambda'), 22),
  });
}

async function drawImages() {
  const folder = path.join(temporary, 'images');
  fs.mkdirSync(folder);
  for (let i = 0; i < 12; i++) {
    const create = { width: 80, height: 64, channels: 3, background: { r: 20 * i, g: 255 - 20 * i, b: 100 } };
    await sharp({ create })
      .jpeg()
      .toFile(path.join(folder, `${i}.jpg`));
  }
  return folder;
}

/** @returns whether all is good */
function report(title, rows) {
  if (rows.length === 0) return true;
  const head = Object.keys(rows[0]).filter((key) => key !== 'good');
  const table = new Table({ head, style: { head: [], border: [] } });
  table.push(...rows.map((row) => head.map((key) => row[key] ?? '-')));
  console.log(`\n${title}\n${table}`);
  return rows.every(({ good }) => good);
}

async function main() {
  const wanted = process.argv[2] ?? '';
  tools.fetchTools();
  const { url, stop } = await startRegistry(temporary);
  try {
    const tarballs = fs.readdirSync(releaseDir).filter((file) => file.endsWith('.tgz'));
    const publisher = environment(folderFor('home', 'publisher'), 24);
    for (const file of tarballs) publish(url, path.join(releaseDir, file), publisher);
    console.log(`published on ${url}: ${tarballs.join(', ')}`);
    const model = `file://${convert(demo, 'model')}/model.json`;
    const context = { url, model, expected: expectedScores(model), images: await drawImages() };
    const managers = MANAGERS.filter(({ name }) => name.includes(wanted));
    const platforms = PLATFORMS.filter(({ name }) => tarballs.includes(`tfjs-lowbit-${name}-${version}.tgz`));
    const locking = platforms.length < 2 ? [] : managers.filter(({ name }) => LOCKING.includes(name));
    const withNpm = managers.some(({ name }) => name === 'npm 11');
    const good = [
      report(
        'An empty project',
        managers.map((manager) => tryManager(manager, context)),
      ),
      report(
        'Lock files of other platforms',
        locking.map((manager) => {
          const folder = folderFor('lock', manager.name);
          return tryLocks(manager, platforms, HERE, { ...context, folder });
        }),
      ),
      report('Installed by npm 11', withNpm ? [20, 22, 24, 26].map((node) => tryNode(node, context)) : []),
      report(
        'npx tfjs-lowbit convert',
        withNpm ? [tryNpx(10, 20, context), tryNpx(11, 24, context), tryNpx(12, 26, context)] : [],
      ),
      report('A zip for AWS Lambda', withNpm ? [lambdaRow()] : []),
    ];
    if (good.includes(false)) process.exitCode = 1;
  } finally {
    stop();
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

main();
