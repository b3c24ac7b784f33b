/**
 * Converts the models of ../shared and says how near each stays to its float form, how much of it runs in INT8, how
 * large and how fast it is: `npm run bench:accuracy -- facemesh selfie`.
 */
const os = require('node:os');
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
const { engineInfo } = require('../dist/src/index.node');
const { evaluate } = require('./real-models/evaluate');
const { MODELS } = require('./real-models/models');

const SENSES = { most: '<=', least: '>=' };

function positiveInteger(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer.');
  return value;
}

function chosen(names) {
  const unknown = names.filter((name) => !MODELS.some((m) => m.name === name));
  if (unknown.length > 0) {
    program.error(
      `No model is called ${unknown.join(', ')}; there are ${MODELS.map((m) => m.name).join(', ')}.`,
    );
  }
  return names.length === 0 ? MODELS : MODELS.filter((m) => names.includes(m.name));
}

const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));

/** Float nodes by op and reason, the most frequent first. */
function floatNodes(nodes) {
  const counts = new Map();
  for (const { op, reason } of nodes) {
    const key = `${op}: ${reason}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).map(([key, count]) => `  ${count} ${key}`);
}

const repeated = (option, values) =>
  [values]
    .flat()
    .map((value) => `${option} '${value}'`)
    .join('\n');

/** Options of `convert` as its command line takes them. */
function describe(options) {
  const named = {
    calibrationMethod: (method) => `--calibration-method ${method}`,
    equalize: () => '--equalize',
    errorFeedback: () => '--error-feedback',
    tune: () => '--tune',
    int16: (layers) => repeated('--int16', layers),
    dynamic: (layers) => repeated('--dynamic', layers),
  };
  return Object.entries(options)
    .map(([name, value]) => named[name](value))
    .join('\n');
}

function row({ name, samples, options, targets, macs, regions, bytes, times }) {
  const mb = (value) => `${(value / 1e6).toFixed(2)} MB`;
  return [
    name,
    describe(options),
    samples,
    targets
      .map((b) => `${b.met ? '' : 'MISSED '}${b.figure} ${number(b.value)} (${SENSES[b.sense]} ${b.target})`)
      .join('\n'),
    `${macs.percent.toFixed(2)} %`,
    `${(macs.integerPercent - macs.percent).toFixed(2)} %`,
    regions,
    `${mb(bytes.before)} -> ${mb(bytes.after)}`,
    `${times.float.toFixed(2)} -> ${times.lowbit.toFixed(2)} ms`,
    `${(times.float / times.lowbit).toFixed(1)}x`,
  ];
}

async function main(names, options) {
  const table = new Table({
    head: [
      'model',
      'options',
      'samples',
      'figure (target)',
      'MACs in INT8',
      'in int16',
      'regions',
      'size',
      'median',
      'faster',
    ],
    style: { head: [], border: [] },
  });
  const reports = [];
  for (const model of chosen(names)) {
    console.error(`${model.name}...`);
    const { defaults, ...rest } = options;
    const report = await evaluate(defaults ? { ...model, convert: {} } : model, rest);
    reports.push(report);
    table.push(row(report));
  }
  if (options.json) {
    console.log(JSON.stringify(reports, null, 1));
    return;
  }
  const { isa } = engineInfo();
  console.log(`node benchmarks/real-models.js ${process.argv.slice(2).join(' ')}`);
  console.log(
    `${isa}, ${options.threads} thread(s), against the float model on TF.js's wasm backend, 1 thread, interleaved; ` +
      `Node.js ${process.versions.node}; ${os.cpus()[0].model}, ${os.cpus().length} cores`,
  );
  console.log(table.toString());
  for (const { name, figures, float } of reports) {
    console.log(`\n${name}`);
    console.log(
      Object.entries(figures)
        .map(([figure, value]) => `  ${figure} ${number(value)}`)
        .join('\n'),
    );
    if (float.length > 0) console.log(['float nodes:', ...floatNodes(float)].join('\n'));
  }
}

program
  .argument('[models...]', 'names of folders in ../shared/models; default: all')
  .option('--samples <count>', 'how many samples to judge at most', positiveInteger)
  .option('--calibration-samples <count>', 'how many samples to calibrate on', positiveInteger)
  .option('--threads <count>', 'threads of the converted model', positiveInteger, 1)
  .option('--defaults', 'convert every model without options of its own')
  .option('--json', 'machine-readable results')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
