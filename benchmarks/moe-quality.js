/**
 * What preferring experts in memory saves and what it costs, on the model of examples/moe-char-lm and text that it has not
 * seen: `npm run bench:moe-quality`.
 *
 * Each row reads the same characters, one at a time, with a cache of experts on disk, and measures both: the misses, against
 * those of an LRU cache with plain routing, and the perplexity, against that of plain routing.
 */
const fs = require('node:fs');
const path = require('node:path');
const Table = require('cli-table3');
const { program, InvalidArgumentError } = require('commander');
require('@tensorflow/tfjs-backend-cpu'); // holds the weights
const lowbit = require('tfjs-lowbit');
const { openExperts, writeExperts } = require('../examples/moe-char-lm/experts.js');
const { CharModel, bitsPerCharacter } = require('../examples/moe-char-lm/model.js');
const { readText } = require('../examples/moe-char-lm/text.js');
const { loadWeights } = require('../examples/moe-char-lm/weights.js');
const { chartPage } = require('./moe-quality/chart-page.js');

function numbers(text) {
  const values = text.split(',').map(Number);
  if (!values.every((value) => value >= 0))
    throw new InvalidArgumentError('expected numbers with commas between.');
  return values;
}

/** Perplexity and misses of one way to route and evict. */
async function measure(weights, text, { cache, ...options }) {
  const mixture = await openExperts(cache / 100, options);
  const perplexity = 2 ** (await bitsPerCharacter(new CharModel(weights, mixture), text));
  const { hitRate, misses, changed } = mixture.metrics.summary();
  await mixture.close();
  return { cache, ...options, perplexity, hitRate, misses, changed };
}

async function measureAll(weights, text, { cache, bonus, protect, policy }) {
  const rows = [];
  for (const share of cache) {
    const variants = [
      { policy: 'lru', bonus: 0, protect: 0 },
      ...(policy === 'lru' ? [] : [{ policy, bonus: 0, protect: 0 }]),
      ...protect.flatMap((kept) => bonus.map((by) => ({ policy, bonus: by, protect: kept }))),
    ];
    for (const variant of variants) {
      console.error(
        `cache ${share} %, ${variant.policy}, bonus ${variant.bonus}, protect ${variant.protect}...`,
      );
      rows.push(await measure(weights, text, { cache: share, ...variant }));
    }
  }
  return rows.map((row) => {
    const base = rows.find(({ cache }) => cache === row.cache);
    return {
      ...row,
      ofLru: row.misses / base.misses,
      worse: row.perplexity / base.perplexity - 1,
    };
  });
}

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

function print(rows) {
  const table = new Table({
    head: [
      'cache',
      'policy',
      'bonus',
      'protect',
      'hits',
      'misses',
      'of LRU',
      'picks changed',
      'perplexity',
      'more',
    ],
    style: { head: [], border: [] },
  });
  for (const { cache, policy, bonus, protect, hitRate, misses, ofLru, changed, perplexity, worse } of rows) {
    table.push([
      `${cache} %`,
      policy,
      bonus,
      protect,
      percent(hitRate),
      misses,
      ofLru.toFixed(2),
      percent(changed),
      perplexity.toFixed(3),
      percent(worse, 2),
    ]);
  }
  console.log(table.toString());
}

async function main({ chart, json, characters, ...options }) {
  const weights = loadWeights();
  await writeExperts(weights);
  const text = readText().heldOut.subarray(0, characters);
  const rows = await measureAll(weights, text, options);
  console.log(`node benchmarks/moe-quality.js ${process.argv.slice(2).join(' ')}`);
  console.log(
    `${characters} held-out characters, ${lowbit.engineInfo().isa}, Node.js ${process.versions.node}`,
  );
  print(rows);
  if (json) fs.writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
  fs.mkdirSync(path.dirname(path.resolve(chart)), { recursive: true });
  fs.writeFileSync(chart, chartPage(rows, characters));
  console.log(`The curve: ${chart}`);
}

program
  .option('--characters <count>', 'held-out characters to read', Number, 5000)
  .option('--cache <percents>', 'shares of all experts in memory', numbers, [12, 25, 50])
  .option('--bonus <ranges>', 'bonuses, in score ranges', numbers, [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6])
  .option('--protect <picks>', 'so many picks of plain routing are kept', numbers, [0, 1])
  .option('--policy <name>', 'eviction of the rows with a bonus: lru, lfu or affinity', 'lru')
  .option('--chart <file>', 'where to draw the curve, HTML', 'build/moe-quality.html')
  .option('--json <file>', 'where to write the rows')
  .action(main);

program.parseAsync().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
