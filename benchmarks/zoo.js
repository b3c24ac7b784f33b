/**
 * Converts models of npm packages without any option but their data, and prints what recipe each got, how near it is to
 * float TF.js on samples that neither the calibration nor the search saw, and how fast: `npm run bench:zoo -- selfie meet`.
 */
const fs = require('node:fs');
const { program } = require('commander');
const { shared } = require('./real-models/samples');
const { modelPath, PACKAGED } = require('./zoo/packages');
const { printTable, recipeOf, speedOf, tryModel } = require('./zoo/rows');

const MB = 1e6;

const least = (outputs = [], of) => Math.min(...outputs.map((output) => Number(of(output) ?? Infinity)));
const shown = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '-');

function cells(row) {
  const { name, error, bytes, outputs, recipe, seconds, cpuSeconds, integerPercent, task = '' } = row;
  if (error) return [name, `${error.code}: ${error.message.slice(0, 80)}`, ...Array(10).fill('')];
  return [
    name,
    recipeOf(row),
    recipe ? (recipe.met ? 'yes' : recipe.late ? 'no, late' : 'no') : '',
    shown(least(outputs, ({ whole }) => whole?.median)),
    shown(least(outputs, ({ whole }) => whole?.worstTenth)),
    shown(least(outputs, ({ varying }) => varying?.median)),
    task,
    `${shown(integerPercent, 0)} %`,
    `${shown(bytes.before / MB, 2)} -> ${shown(bytes.after / MB, 2)}`,
    speedOf(row),
    `${shown(seconds, 0)} (${shown(cpuSeconds, 0)})`,
    recipe ? String(recipe.steps.length) : '',
  ];
}

async function main(names, { folder, samples, tests, json, steps, options, withoutData }) {
  const beside = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  const all = [...new Set([...PACKAGED.keys(), ...beside])].sort();
  const rows = [];
  for (const name of names.length > 0 ? names : all) {
    const input = await modelPath(name, folder);
    if (!fs.existsSync(input)) continue;
    const row = await tryModel({ name, input, samples, tests, options, withoutData });
    rows.push(row);
    console.error(cells(row).join(' | '));
    if (steps) {
      for (const step of row.recipe?.steps ?? [])
        console.error(
          `    ${step.name} | ${step.worst} ${shown(Number(step.signalToNoise))} dB | ${shown(Number(step.excess))} | ${shown(step.milliseconds, 2)} ms | ${shown(step.seconds)} s${step.chosen ? ' | chosen' : ''}`,
        );
    }
    if (json) fs.writeFileSync(json, JSON.stringify(rows, null, 1));
  }
  const head = [
    'model',
    'recipe',
    'met',
    'dB',
    'worst tenth',
    'mean removed',
    'task',
    'INT8, int16',
    'MB',
    'ms, TF.js / ours',
    's (CPU)',
    'trials',
  ];
  printTable('bench:zoo', head, rows.map(cells));
}

program
  .argument('[models...]', 'names of folders; default: all')
  .option('--folder <folder>', 'holds a folder for each model that no package has', shared('models'))
  .option('--samples <count>', 'samples for calibration and search', Number, 48)
  .option('--tests <count>', 'samples for the test', Number, 16)
  .option('--options <json>', 'options of the conversion', JSON.parse, {})
  .option('--without-data', 'convert without calibration data')
  .option('--steps', 'print the steps of each search')
  .option('--json <file>', 'write the results to a file')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
