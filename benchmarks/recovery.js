/**
 * What each way to recover accuracy does, with and without, on models of ../shared: `npm run bench:recovery`.
 *
 * Each row converts the model anew; the first with none of them, the second as `convert` does by default. Some samples
 * show the effects, all of them would take hours: `--samples`, `--calibration-samples`.
 */
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
const lowbit = require('tfjs-lowbit');
const { evaluate } = require('./real-models/evaluate');
const { MODELS } = require('./real-models/models');
const { signalToNoise } = require('./real-models/scores');

const NAMES = [
  'mobilenet_v2_1.0_224_float',
  'squeezenet1_1',
  'mobilenet_v1_0.25_224',
  'resnet8_cifar10',
  'resnet20_cifar10',
];

const SOME_SAMPLES = 64;

const NONE = { biasCorrection: 'none', weightRange: 'max', equalize: false };

const VARIANTS = [
  ['none', NONE],
  ['defaults', {}],
  ['fast bias correction', { ...NONE, biasCorrection: 'fast' }],
  ['sequential bias correction', { ...NONE, biasCorrection: 'sequential' }],
  ['weight ranges by least squares', { ...NONE, weightRange: 'mse' }],
  ['equalization', { ...NONE, equalize: true }],
  ['equalization and fast bias correction', { ...NONE, equalize: true, biasCorrection: 'fast' }],
];

function positiveInteger(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer.');
  return value;
}

/** A model's own score and the signal-to-noise of its outputs. */
function both(model) {
  return () => {
    const scores = [model.score(), signalToNoise()];
    return {
      add(float, converted, label) {
        for (const score of scores) score.add(float, converted, label);
      },
      result: () => Object.assign({}, ...scores.map((score) => score.result())),
    };
  };
}

async function main(names, options) {
  const unknown = names.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) program.error(`Expected some of ${NAMES.join(', ')} but received ${unknown}.`);
  const table = new Table({
    head: ['model', 'samples', 'recovery', 'top-1 float', 'top-1 INT8', 'agreement', 'dB'],
    style: { head: [], border: [] },
  });
  for (const name of names.length > 0 ? names : NAMES) {
    const model = MODELS.find((m) => m.name === name);
    for (const [variant, convert] of VARIANTS) {
      console.error(`${name}, ${variant}...`);
      const { figures, samples } = await evaluate({ ...model, score: both(model) }, { ...options, convert });
      const { topOneFloat, topOneLowbit, agreement, signalToNoise: decibels } = figures;
      const percents = [topOneFloat, topOneLowbit, agreement].map((value) => `${value.toFixed(2)} %`);
      table.push([name, samples, variant, ...percents, decibels.toFixed(1)]);
    }
  }
  console.log(`node benchmarks/recovery.js ${process.argv.slice(2).join(' ')}`);
  console.log(`${lowbit.engineInfo().isa}, Node.js ${process.versions.node}`);
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
