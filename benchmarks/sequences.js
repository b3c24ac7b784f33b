/**
 * Converts the sequence models that scripts/train-sequences.py has trained, without any option but their data, and prints
 * how much of them is in INT8, how near they are to float TF.js on samples that neither the calibration nor the search saw,
 * their bytes, and their speed: `npm run bench:sequences -- lstm`.
 */
const fs = require('node:fs');
const path = require('node:path');
const { program } = require('commander');
const { printTable, recipeOf, speedOf, tryModel } = require('./zoo/rows');

const ROOT = path.join(__dirname, '..');

/** A model that falls short of them is marked. */
const TARGET = { percent: 95, decibels: 25 };

const least = (outputs, of) => Math.min(...outputs.map((output) => Number(of(output)?.median ?? Infinity)));

function cells(row) {
  const { name, error, recipe, products, percent, outputs, bytes, seconds, cpuSeconds } = row;
  if (error) return [name, `${error.code}: ${error.message.slice(0, 80)}`, ...Array(7).fill('')];
  const [whole, varying] = [least(outputs, (o) => o.whole), least(outputs, (o) => o.varying)];
  const met = percent >= TARGET.percent && Math.min(whole, varying) >= TARGET.decibels;
  return [
    name,
    `${percent.toFixed(1)} % (${products.all - products.float} of ${products.all})`,
    recipeOf(row),
    whole.toFixed(1),
    varying.toFixed(1),
    `${(bytes.before / 1e6).toFixed(2)} -> ${(bytes.after / 1e6).toFixed(2)}`,
    speedOf(row),
    `${seconds.toFixed(0)} (${cpuSeconds.toFixed(0)}), ${recipe.steps.length} steps`,
    met ? 'yes' : 'no',
  ];
}

function rowOf(name, { folder, samples, options }) {
  const at = (file) => path.join(folder, name, file);
  const files = { calibration: at('calibration.npz'), evaluation: at('evaluation.npz') };
  return tryModel({ name, input: at('model.json'), files, samples, tests: samples, options });
}

async function main(names, { folder, json, ...options }) {
  const found = fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [];
  if (found.length === 0) {
    console.error(
      `There are no models in ${folder}; scripts/train-sequences.py, which says how to run it, writes them.`,
    );
    process.exit(1);
  }
  const rows = [];
  for (const name of names.length > 0 ? names : found) {
    rows.push(await rowOf(name, { folder, ...options }));
    console.error(cells(rows.at(-1)).join(' | '));
    if (json) fs.writeFileSync(json, JSON.stringify(rows, null, 1));
  }
  const head = [
    'model',
    'products in INT8 (nodes)',
    'recipe',
    'dB',
    'mean removed',
    'MB',
    'ms, TF.js / ours',
    's (CPU)',
    'met',
  ];
  printTable('bench:sequences', head, rows.map(cells));
}

program
  .argument('[models...]', 'default: all in the folder')
  .option(
    '--folder <folder>',
    'models that scripts/train-sequences.py wrote',
    path.join(ROOT, 'build', 'sequences'),
  )
  .option('--samples <count>', 'of calibration and of evaluation at most', Number, 128)
  .option('--options <json>', 'further options of convert', JSON.parse, {})
  .option('--json <file>', 'write all figures there')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
