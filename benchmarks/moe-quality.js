/**
 * What preferring experts in memory saves and what it costs, on the model of examples/moe-char-lm and text that it has not
 * seen: `npm run bench:moe-quality`.
 *
 * Each row reads the same characters, one at a time, with a cache of experts on disk, and measures both: the misses, against
 * those of an LRU cache with plain routing, and the perplexity, against that of plain routing. It does so on two parts of the
 * text: on the first, routing with the fewest misses is chosen for each cache; the second part reports its cost.
 */
const fs = require('node:fs');
const path = require('node:path');
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
require('@tensorflow/tfjs-backend-cpu'); // holds the weights
const { engineInfo } = require('tfjs-lowbit');
const { openExperts, writeExperts } = require('../examples/moe-char-lm/experts.js');
const { CharModel, bitsPerCharacter } = require('../examples/moe-char-lm/model.js');
const { readText } = require('../examples/moe-char-lm/text.js');
const { loadWeights } = require('../examples/moe-char-lm/weights.js');
const { chartPage, drawChart } = require('./moe-quality/chart-page.js');

function numbers(text) {
  const values = text.split(',').map(Number);
  if (!values.every((value) => value >= 0))
    throw new InvalidArgumentError('expected numbers with commas between.');
  return values;
}

const words = (text) => text.split(',');

/** Perplexity and misses of one way to route and evict. */
async function measure(weights, text, { cache, ...options }) {
  const mixture = await openExperts(cache / 100, options);
  const perplexity = 2 ** (await bitsPerCharacter(new CharModel(weights, mixture), text));
  const { hitRate, misses, changed } = mixture.metrics.summary();
  await mixture.close();
  return { perplexity, hitRate, misses, changed };
}

function variantsOf({ cache, bonus, protect, policy }) {
  return cache.flatMap((share) => [
    { cache: share, policy: 'lru', bonus: 0, protect: 0 },
    ...policy
      .filter((name) => name !== 'lru')
      .map((name) => ({ cache: share, policy: name, bonus: 0, protect: 0 })),
    ...policy.flatMap((name) =>
      protect.flatMap((kept) =>
        bonus.map((by) => ({ cache: share, policy: name, bonus: by, protect: kept })),
      ),
    ),
  ]);
}

/** Every variant on both parts of the text, as `chosen` and `reported`. */
async function measureAll(weights, { chosen, reported }, variants) {
  const rows = [];
  for (const variant of variants) {
    const { cache, policy, bonus, protect } = variant;
    console.error(`cache ${cache} %, ${policy}, bonus ${bonus}, protect ${protect}...`);
    const base = rows.find((row) => row.cache === cache);
    const on = async (text, name) => {
      const result = await measure(weights, text, variant);
      const { misses, perplexity } = base?.[name] ?? result;
      return { ...result, ofLru: result.misses / misses, worse: result.perplexity / perplexity - 1 };
    };
    rows.push({ ...variant, chosen: await on(chosen, 'chosen'), reported: await on(reported, 'reported') });
  }
  return rows;
}

/** For each cache the row with the fewest misses that costs no more than allowed, on the first part. */
function choose(rows, most) {
  return [...new Set(rows.map(({ cache }) => cache))].map((cache) =>
    rows
      .filter((row) => row.cache === cache && row.chosen.worse <= most)
      .reduce((best, row) => (row.chosen.misses < best.chosen.misses ? row : best)),
  );
}

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

function print(rows, best) {
  const table = new Table({
    head: [
      'cache',
      'policy',
      'bonus',
      'protect',
      'of LRU',
      'more',
      'hits',
      'misses',
      'of LRU',
      'changed',
      'perplexity',
      'more',
      '',
    ],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    const { cache, policy, bonus, protect, chosen, reported } = row;
    table.push([
      `${cache} %`,
      policy,
      bonus,
      protect,
      chosen.ofLru.toFixed(3),
      percent(chosen.worse, 2),
      percent(reported.hitRate),
      reported.misses,
      reported.ofLru.toFixed(3),
      percent(reported.changed),
      reported.perplexity.toFixed(3),
      percent(reported.worse, 2),
      best.includes(row) ? 'chosen' : '',
    ]);
  }
  console.log('Two columns of the part to select on, then the part that is reported:');
  console.log(table.toString());
  for (const { cache, policy, bonus, protect, reported } of best) {
    console.log(
      `cache ${cache} %: ${policy}, bonus ${bonus}, ${protect} protected: ${reported.ofLru.toFixed(3)} of the misses of LRU with ` +
        `plain routing, perplexity ${reported.worse < 0 ? '' : '+'}${percent(reported.worse, 2)}`,
    );
  }
}

async function main({ chart, picture, json, characters, most, ...options }) {
  const weights = loadWeights();
  await writeExperts(weights);
  const { heldOut } = readText();
  const text = {
    chosen: heldOut.subarray(0, characters),
    reported: heldOut.subarray(characters, 2 * characters),
  };
  const rows = await measureAll(weights, text, variantsOf(options));
  const best = choose(rows, most / 100);
  console.log(`node benchmarks/moe-quality.js ${process.argv.slice(2).join(' ')}`.trim());
  console.log(
    `held-out characters 0 to ${characters} to select on, the next ${text.reported.length} are reported; ` +
      `${engineInfo().isa}, Node.js ${process.versions.node}`,
  );
  print(rows, best);
  if (json) fs.writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
  fs.mkdirSync(path.dirname(path.resolve(chart)), { recursive: true });
  const page = chartPage(rows, characters);
  fs.writeFileSync(chart, page);
  console.log(`The curve: ${chart}`);
  if (picture) await drawChart(page, picture);
}

program
  .option('--characters <count>', 'of each part', Number, 8000)
  .option('--cache <percents>', 'shares of all experts in memory', numbers, [25])
  .option('--bonus <ranges>', 'bonuses, in score ranges', numbers, [0.1, 0.2, 0.3, 0.4])
  .option('--protect <picks>', 'so many picks of plain routing are kept', numbers, [0, 1])
  .option('--policy <names>', 'eviction of the rows with a bonus: lru, lfu, affinity', words, ['lru', 'lfu'])
  .option('--most <percent>', 'perplexity that the chosen routing may cost', Number, 1)
  .option('--chart <file>', 'where to draw the curve, HTML', 'build/moe-quality.html')
  .option('--picture <file>', 'where to draw it as a PNG; needs Chromium')
  .option('--json <file>', 'where to write the rows')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
