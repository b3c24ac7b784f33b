/** Tries a model in a process of its own, and shows in words what came of it. */
const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');
const Table = require('cli-table3');

/** @param job as child.js takes it */
async function tryModel(job) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(__dirname, 'child.js'), JSON.stringify(job)],
    { maxBuffer: 1e9 },
  );
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

/** The settings and the precisions of layers that a model was converted with. */
function recipeOf({ layers, settings = [] }) {
  const precisions = Object.entries(layers ?? {}).flatMap(([name, count]) =>
    count > 0 ? [`${count} ${name}`] : [],
  );
  return [...settings, ...precisions].join(', ') || 'static';
}

function speedOf({ milliseconds: { float, lowbit }, backend }) {
  return `${float.toFixed(2)} / ${lowbit.toFixed(2)} = ${(float / lowbit).toFixed(1)}x ${backend}`;
}

function printTable(script, head, rows) {
  const table = new Table({ head, style: { head: [], border: [] } });
  table.push(...rows);
  console.log(`npm run ${script} -- ${process.argv.slice(2).join(' ')}`);
  console.log(table.toString());
}

module.exports = { printTable, recipeOf, speedOf, tryModel };
