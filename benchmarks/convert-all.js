/**
 * Converts every model of a folder in every mode and prints what is refused, what fails without a code, whose shapes
 * differ, how much runs in INT8 and how near the outputs stay: `npm run bench:convert-all -- facemesh selfie`.
 */
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
const { labelled } = require('./convert-all/data');
const { MODES } = require('./convert-all/modes');
const { shared } = require('./real-models/samples');

/** Bytes of weights up to which a model is small enough for `--tune`, several conversions each. */
const SMALL = 3e6;

function positiveInteger(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer.');
  return value;
}

function sizeOf(folder) {
  return fs.readdirSync(folder).reduce((sum, file) => sum + fs.statSync(path.join(folder, file)).size, 0);
}

function modesOf(name, folder, { modes }) {
  return (modes ?? Object.keys(MODES)).filter((mode) => {
    if (mode === 'max-drop') return labelled(name) !== undefined;
    return mode !== 'tune' || sizeOf(folder) <= SMALL;
  });
}

async function convertOne(job, timeout) {
  const script = path.join(__dirname, 'convert-all', 'child.js');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(job)], {
      timeout: timeout * 1000,
      maxBuffer: 1e9,
    });
    return JSON.parse(stdout.trim().split('\n').at(-1));
  } catch (error) {
    const { name, mode } = job;
    const message = error.killed
      ? `ended after ${timeout} s`
      : `the process failed: ${error.stderr ?? error}`;
    return { name, mode, error: { code: error.killed ? 'timeout' : 'crash', coded: false, message } };
  }
}

/** What came of a conversion, in a word. */
function verdict({ error, outputs = [], stage }) {
  if (error)
    return error.coded ? `refused: ${error.code}` : `UNCODED: ${error.code}${stage ? ` (${stage})` : ''}`;
  return outputs.some(({ sameShape }) => !sameShape) ? 'WRONG SHAPE' : 'right';
}

const worst = (outputs = [], figure) =>
  Math.min(...outputs.map((output) => Number(output[figure] ?? Infinity)));
const decimals = (value) => (Number.isFinite(value) ? value.toFixed(1) : '-');
const megabytes = (value) => (value / 1e6).toFixed(2);

function cells(row) {
  const { name, mode, macs, bytes, float = [], outputs, seconds = 0, peak = 0, error } = row;
  return [
    name,
    mode,
    verdict(row),
    macs ? `${macs.integerPercent.toFixed(1)} %` : '-',
    macs ? String(float.length) : '-',
    decimals(worst(outputs, 'dB')),
    decimals(worst(outputs, 'varyingDb')),
    bytes ? `${megabytes(bytes.before)} -> ${megabytes(bytes.after)}` : '-',
    bytes ? (bytes.after / bytes.before).toFixed(2) : '-',
    seconds.toFixed(1),
    peak ? (peak / 1e6).toFixed(0) : '-',
    error ? error.message.slice(0, 60) : '',
  ];
}

function tally(rows) {
  const count = (test) => rows.filter(test).length;
  return [
    `${rows.length} conversions:`,
    `${count(({ error }) => error?.coded)} refused,`,
    `${count(({ error }) => error && !error.coded)} failed without a code,`,
    `${count((row) => verdict(row) === 'WRONG SHAPE')} with wrong shapes,`,
    `${count((row) => verdict(row) === 'right')} right`,
  ].join(' ');
}

async function main(names, options) {
  const { folder, samples, tests, timeout, json } = options;
  const all = fs.readdirSync(folder).filter((name) => fs.existsSync(path.join(folder, name, 'model.json')));
  const rows = [];
  for (const name of names.length > 0 ? names : all) {
    const input = path.join(folder, name, 'model.json');
    for (const mode of modesOf(name, path.dirname(input), options)) {
      const row = await convertOne({ input, name, mode, samples, tests }, timeout);
      rows.push(row);
      console.error(cells(row).join(' | '));
      if (json) fs.writeFileSync(json, JSON.stringify(rows, null, 1));
    }
  }
  const head = [
    'model',
    'mode',
    'result',
    'INT8',
    'products left float',
    'dB',
    'dB, mean removed',
    'MB read -> written',
    'written, of read',
    's',
    'peak MB',
    '',
  ];
  const table = new Table({ head, style: { head: [], border: [] } });
  table.push(...rows.map(cells));
  console.log(`node benchmarks/convert-all.js ${process.argv.slice(2).join(' ')}`);
  console.log(table.toString());
  console.log(tally(rows));
  process.exitCode = rows.every((row) => verdict(row) === 'right') ? 0 : 1;
}

program
  .argument('[models...]', 'names of folders; default: all')
  .option('--folder <folder>', 'holds a folder for each model', shared('models'))
  .option('--modes <modes>', `some of ${Object.keys(MODES).join(',')}`, (text) => text.split(','))
  .option('--samples <count>', 'calibration samples', positiveInteger, 8)
  .option('--tests <count>', 'samples that are compared, other than those', positiveInteger, 4)
  .option('--timeout <seconds>', 'for one conversion', positiveInteger, 600)
  .option('--json <file>', 'write the results to a file')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
