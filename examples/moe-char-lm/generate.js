// Writes text in the manner of Shakespeare, with a quarter of the experts in memory and the rest on disk:
//
//   npm run moe:generate -- --prompt "ROMEO:" --cache 25 --bonus 0.2

const { program } = require('commander');
require('@tensorflow/tfjs-backend-cpu'); // holds the weights
const { openExperts, writeExperts } = require('./experts.js');
const { CharModel, generate } = require('./model.js');
const { makeRandom } = require('./random.js');
const { encode } = require('./text.js');
const { loadWeights } = require('./weights.js');

async function main({ prompt, count, temperature, seed, cache, bonus, direct }) {
  const weights = loadWeights();
  await writeExperts(weights);
  const mixture = await openExperts(cache / 100, { bonus, direct });
  const model = new CharModel(weights, mixture);
  const start = performance.now();
  process.stdout.write(prompt);
  const options = { temperature, random: makeRandom(seed) };
  for await (const character of generate(model, encode(prompt, weights.vocabulary), count, options)) {
    process.stdout.write(character);
  }
  const seconds = (performance.now() - start) / 1000;
  const { hitRate, bytesPaged, changed } = mixture.metrics.summary();
  await mixture.close();
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  console.log(
    `\n\n${(count / seconds).toFixed(0)} characters/s; ${(mixture.reservedBytes / 1e6).toFixed(2)} MB for experts, ` +
      `${percent(hitRate)} of those needed were there; ${(bytesPaged / 1e6).toFixed(1)} MB read; ` +
      `${percent(changed)} of the choices differ from plain routing`,
  );
}

program
  .option('--prompt <text>', 'what the text starts with', 'ROMEO:')
  .option('--count <characters>', 'how many to write', Number, 600)
  .option('--temperature <number>', 'how freely to choose', Number, 0.8)
  .option('--seed <number>', 'for the choices', Number, 1)
  .option('--cache <percent>', 'how many of the experts fit in memory', Number, 25)
  .option('--bonus <ranges>', 'what experts in memory are ranked higher by, in score ranges', Number, 0.2)
  .option('--direct', 'read past the page cache of the operating system')
  .action(main);

program.parseAsync();
