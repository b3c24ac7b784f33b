/**
 * Converts random graphs in every mode and checks what they compute: thousands, where the tests take one.
 *
 *   npm run test:graphs -- 20000            graphs 0 to 19,999
 *   npm run test:graphs -- 20000 --jobs 4   so many processes at once; default 2
 *   npm run test:graphs -- 20000 --fresh    forgets what was found before
 *
 * What is done is kept in build/random-graphs, chunk by chunk: started again, it goes on where it stopped. The counts are
 * printed at the end: graphs, nodes by op, conversions by mode and outcome, the loudest noise against the simulation. Exits
 * with 1 where something is wrong; `LOWBIT_TEST_GRAPHS_FROM=123 LOWBIT_TEST_GRAPHS=1 npx jest test/conversion/random-graphs`
 * draws graph 123 again.
 */
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '..');
const RESULTS = path.join(ROOT, 'build', 'random-graphs');
const CHUNK = 500;

function readOptions(args) {
  const jobs = args.indexOf('--jobs');
  const graphs = Number(args.find((arg) => /^\d+$/.test(arg)) ?? 20000);
  return { graphs, jobs: jobs < 0 ? 2 : Number(args[jobs + 1]), fresh: args.includes('--fresh') };
}

const fileOf = (from) => path.join(RESULTS, `${from}.json`);

/** Runs one chunk in a process of its own. */
function runChunk(from, count) {
  const jest = require.resolve('jest/bin/jest');
  const env = {
    ...process.env,
    LOWBIT_TEST_GRAPHS: String(count),
    LOWBIT_TEST_GRAPHS_FROM: String(from),
    LOWBIT_TEST_GRAPHS_RESULTS: fileOf(from),
  };
  const test = 'test/conversion/random-graphs/part-1.test.ts';
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [jest, test, '--silent'], { cwd: ROOT, env, stdio: 'ignore' });
    child.on('close', () => {
      if (!fs.existsSync(fileOf(from)))
        console.log(`graphs from ${from}: the process ended without a result`);
      resolve();
    });
  });
}

async function runAll({ graphs, jobs }) {
  const open = [];
  for (let from = 0; from < graphs; from += CHUNK) if (!fs.existsSync(fileOf(from))) open.push(from);
  const total = open.length;
  const work = async () => {
    for (let from = open.shift(); from !== undefined; from = open.shift()) {
      await runChunk(from, Math.min(CHUNK, graphs - from));
      console.log(`${total - open.length} of ${total} chunks begun, ${from} to ${from + CHUNK - 1} done`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function add(sums, counts) {
  for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
}

function report(graphs) {
  const [ops, modes, faults] = [{}, {}, []];
  let [drawn, judged, worst, missing] = [0, 0, Number.NEGATIVE_INFINITY, 0];
  for (let from = 0; from < graphs; from += CHUNK) {
    if (!fs.existsSync(fileOf(from))) {
      missing++;
      continue;
    }
    const totals = JSON.parse(fs.readFileSync(fileOf(from), 'utf8'));
    drawn += totals.graphs;
    judged += totals.judged;
    worst = Math.max(worst, totals.worst ?? Number.NEGATIVE_INFINITY);
    add(ops, totals.ops);
    for (const [mode, outcomes] of Object.entries(totals.modes)) {
      modes[mode] ??= {};
      add(modes[mode], outcomes);
    }
    faults.push(...totals.faults);
  }
  const byCount = Object.entries(ops).sort(([, a], [, b]) => b - a);
  console.log(`\n${byCount.length} ops: ${byCount.map(([op, count]) => `${op} ${count}`).join(', ')}\n`);
  for (const [mode, outcomes] of Object.entries(modes)) {
    const text = Object.entries(outcomes).map(([kind, count]) => `${count} ${kind}`);
    console.log(`${mode.padEnd(18)}${text.join(', ')}`);
  }
  for (const fault of faults) console.log(`\n${fault.split('\n').slice(0, 8).join('\n')}`);
  const kinds = {};
  for (const fault of faults) add(kinds, { [fault.split(': ')[1]]: 1 });
  const wrong = Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`);
  console.log(
    `\n${drawn} graphs; wrong: ${wrong.join(', ') || 'nothing'}; ${judged} outputs against their simulation, ` +
      `at most ${worst.toFixed(2)} dB louder${missing ? `; ${missing} chunks are missing` : ''}`,
  );
  return faults.length === 0 && missing === 0;
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.fresh) fs.rmSync(RESULTS, { recursive: true, force: true });
  fs.mkdirSync(RESULTS, { recursive: true });
  await runAll(options);
  process.exitCode = report(options.graphs) ? 0 : 1;
}

main();
