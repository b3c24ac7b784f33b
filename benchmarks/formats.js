/**
 * Accuracy of models of ../shared with their weights in 8, 4, 3 and 2 bits, and mixes of these: `npm run bench:formats`.
 *
 * Each row converts the model anew. First, last and depthwise layers stay in INT8, but in mixes, which may take any layer
 * but the depthwise ones. For a mix, the layers that lose most at 2 bits alone are listed.
 */
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
const { engineInfo } = require('../dist/src/index.node');
const { evaluate } = require('./real-models/evaluate');
const { MODELS } = require('./real-models/models');

const NAMES = ['mobilenet_v2_1.0_224_float', 'squeezenet1_1', 'resnet20_cifar10'];

const FED_BACK = { rotate: true, errorFeedback: true };

const VARIANTS = [
  ['int8', {}],
  ['int4', { weights: 'int4' }],
  ['uniform4', { weights: 'uniform4' }],
  ['uniform4, rotated, fed back', { weights: 'uniform4', ...FED_BACK }],
  ['uniform3', { weights: 'uniform3' }],
  ['uniform3, rotated, fed back', { weights: 'uniform3', ...FED_BACK }],
  ['pi2', { weights: 'pi2' }],
  ['trellis2', { weights: 'trellis2' }],
  ['trellis2, rotated', { weights: 'trellis2', rotate: true }],
  ['trellis2, rotated, fed back', { weights: 'trellis2', ...FED_BACK }],
  ['mix of 4 bits', { targetBits: 4, ...FED_BACK }],
  ['mix of 3 bits', { targetBits: 3, ...FED_BACK }],
  ['mix of 2.5 bits', { targetBits: 2.5, ...FED_BACK }],
];

/** Number of layers that are listed for a mix. */
const FRAILEST = 3;

function positiveInteger(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer.');
  return value;
}

/** The layers that lose most at 2 bits, each alone, and the bits that they got. */
function frailest({ layers }) {
  const at = (layer, bits) => layer.options.find((option) => option.bits === bits).signalToNoise;
  return layers
    .toSorted((a, b) => at(a, 2) - at(b, 2))
    .slice(0, FRAILEST)
    .map((layer) => `${layer.name}: ${at(layer, 2).toFixed(1)} dB at 2 bits, got ${layer.chosen}`);
}

async function row(model, [variant, convert], options) {
  console.error(`${model.name}, ${variant}...`);
  try {
    const { figures, samples, bytes, bitsPerWeight, allocation } = await evaluate(model, {
      ...options,
      convert,
    });
    const percents = [figures.topOneFloat, figures.topOneLowbit, figures.agreement].map(
      (v) => `${v.toFixed(2)} %`,
    );
    const size = `${(bytes.after / 1e6).toFixed(2)} MB`;
    return [
      [model.name, samples, variant, bitsPerWeight.toFixed(2), size, ...percents],
      allocation ? frailest(allocation).map((text) => `${model.name}, ${variant}: ${text}`) : [],
    ];
  } catch (error) {
    if (error.code !== 'invalid-argument') throw error;
    return [[model.name, '', variant, '', '', '', '', error.message.slice(0, 80)], []];
  }
}

async function main(names, { variants, ...options }) {
  const unknown = names.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) program.error(`Expected some of ${NAMES.join(', ')} but received ${unknown}.`);
  const table = new Table({
    head: ['model', 'samples', 'weights', 'bits a weight', 'size', 'top-1 float', 'top-1', 'agreement'],
    style: { head: [], border: [] },
  });
  const notes = [];
  for (const name of names.length > 0 ? names : NAMES) {
    for (const variant of VARIANTS.filter(([text]) => text.includes(variants ?? ''))) {
      const [cells, told] = await row(
        MODELS.find((m) => m.name === name),
        variant,
        options,
      );
      table.push(cells);
      notes.push(...told);
    }
  }
  console.log(`node benchmarks/formats.js ${process.argv.slice(2).join(' ')}`);
  console.log(`${engineInfo().isa}, Node.js ${process.versions.node}`);
  console.log(table.toString());
  console.log(notes.join('\n'));
}

program
  .argument('[models...]', `default: ${NAMES.join(', ')}`)
  .option('--samples <count>', 'how many samples to judge at most', positiveInteger)
  .option('--calibration-samples <count>', 'how many samples to calibrate on', positiveInteger)
  .option('--variants <text>', 'only those with this in their name')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
