// Applies the mutations one at a time to a copy of the native code, builds it, and runs the kernel tests against it:
//
//   npm run test:mutation
//
// Prints which mutations the tests killed; fails if one survives.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Table = require('cli-table3');
const mutations = require('./mutations.js');

const root = path.resolve(__dirname, '..', '..');
const TESTS = ['test/kernels/reference-ops', 'test/kernels/reference-edges', 'test/kernels/reference-chains'];

function copyTree(folder) {
  for (const entry of ['native', 'scripts', 'build']) {
    fs.cpSync(path.join(root, entry), path.join(folder, entry), {
      recursive: true,
      preserveTimestamps: true,
    });
  }
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
}

function build(folder) {
  const script = path.join(folder, 'scripts', 'build-native.js');
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`A mutant does not compile:\n${stderr}`);
}

/** Whether the kernel tests fail on the addon in `folder`. */
function killed(folder) {
  const jest = require.resolve('jest/bin/jest');
  const { status } = spawnSync(process.execPath, [jest, '--bail', ...TESTS], {
    cwd: root,
    env: { ...process.env, LOWBIT_ADDON: path.join(folder, 'build', 'lowbit.node') },
  });
  return status !== 0;
}

function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tfjs-lowbit-mutation-'));
  copyTree(folder);
  build(folder);
  if (killed(folder)) throw new Error('The kernel tests fail without any mutation.');
  const table = new Table({ head: ['mutation', 'file', 'result'], style: { head: [], border: [] } });
  let survivors = 0;
  for (const { name, file, find, replace } of mutations) {
    const target = path.join(folder, file);
    const original = fs.readFileSync(target, 'utf8');
    if (original.split(find).length !== 2) throw new Error(`'${name}': expected its text once in ${file}.`);
    fs.writeFileSync(target, original.replace(find, replace));
    build(folder);
    const dead = killed(folder);
    if (!dead) survivors++;
    console.log(`${dead ? 'killed  ' : 'SURVIVED'} ${name}`);
    table.push([name, file, dead ? 'killed' : 'SURVIVED']);
    fs.writeFileSync(target, original);
  }
  fs.rmSync(folder, { recursive: true });
  console.log(table.toString());
  process.exitCode = survivors === 0 ? 0 : 1;
}

main();
