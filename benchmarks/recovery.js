/**
 * What each way to recover accuracy does, with and without, on models of ../shared: `npm run bench:recovery`.
 *
 * Each row converts the model anew, all in INT8 unless it says otherwise; the first with none of them. dB are those of the worst output. Some
 * samples show the effects: `--samples`, `--calibration-samples`.
 */
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
const { engineInfo } = require('../dist/src/index.node');
const { evaluate } = require('./real-models/evaluate');
const { MODELS } = require('./real-models/models');
const { signalToNoise } = require('./real-models/scores');

const NAMES = ['mobilenet_v2_1.0_224_float', 'resnet20_cifar10', 'facemesh', 'blazeface-front'];

const SOME_SAMPLES = 12;

const NONE = { biasCorrection: 'none', equalize: false };

const VARIANTS = [
  ['none', NONE],
  ['fast bias correction (default)', {}],
  ['sequential bias correction', { ...NONE, biasCorrection: 'sequential' }],
  ['weight ranges by least squares', { ...NONE, weightRange: 'mse' }],
  ['equalization', { ...NONE, equalize: true }],
  ['error feedback', { ...NONE, errorFeedback: true }],
  ['percentile ranges', { ...NONE, calibrationMethod: 'percentile' }],
  ['int16 for the 4 costliest layers', { ...NONE, int16: 4 }],
  ['dynamic activations', { ...NONE, dynamic: ['**'] }],
  ['equalization, error feedback, fast bias correction', { equalize: true, errorFeedback: true }],
  ['the same with dynamic activations', { equalize: true, errorFeedback: true, dynamic: ['**'] }],
  ['what --tune keeps', { tune: true }],
];

function positiveInteger(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer.');
  return value;
}

async function main(names, options) {
  const unknown = names.filter((name) => !MODELS.some((m) => m.name === name));
  if (unknown.length > 0) program.error(`No model is called ${unknown}.`);
  const table = new Table({
    head: ['model', 'recovery', 'dB', 'median dB of a sample', 'seconds to convert and judge'],
    style: { head: [], border: [] },
  });
  for (const name of names.length > 0 ? names : NAMES) {
    const model = { ...MODELS.find((m) => m.name === name), convert: {}, score: signalToNoise };
    for (const [variant, convert] of VARIANTS) {
      const start = performance.now();
      const { figures } = await evaluate(model, { ...options, convert });
      const seconds = (performance.now() - start) / 1000;
      const values = [figures.signalToNoise, figures.medianSignalToNoise, seconds];
      const row = [name, variant, ...values.map((value) => value.toFixed(1))];
      table.push(row);
      console.error(row.join(', '));
    }
  }
  console.log(`node benchmarks/recovery.js ${process.argv.slice(2).join(' ')}`);
  console.log(
    `${engineInfo().isa}, Node.js ${process.versions.node}; calibrated on ${options.calibrationSamples} samples, judged on ${options.samples}`,
  );
  console.log(table.toString());
}

program
  .argument('[models...]', `default: ${NAMES.join(', ')}`)
  .option('--samples <count>', 'how many samples to judge at most', positiveInteger, SOME_SAMPLES)
  .option('--calibration-samples <count>', 'how many samples to calibrate on', positiveInteger, SOME_SAMPLES)
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
