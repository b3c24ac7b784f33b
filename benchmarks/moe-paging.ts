/**
 * Tokens per second with experts on disk, read past the page cache: routing that prefers experts in memory beside LRU with
 * plain routing, on one routing trace and two sizes of experts.
 *
 *   npm run bench:moe-paging
 *
 * The trace is of the character model in examples/moe-char-lm. Its own experts take 20 KB; those of the second size are made
 * up, random weights of the size that experts of real models have, chosen as the trace says.
 */
import { rm } from 'node:fs/promises';
import { Command } from 'commander';
import { median } from '../src/base/median';
import { numbers, percent, positiveInteger, real, table } from '../src/cli/command';
import { budgetBytes } from '../src/moe/memory-budget';
import { type MixtureOfExperts, type MixtureOptions, moe } from '../src/moe/mixture';
import { replay } from '../src/moe/replay';
import { fileSource } from '../src/moe/store/file-source';
import { type RoutingTrace, readTrace } from '../src/moe/trace';
import { headerLines, machine } from './machine';
import { writeRandomExperts } from './moe-paging/random-experts';
import { runCommand } from './run-command';

interface Options {
  trace: string;
  experts: string;
  sizes: number[];
  budget: string;
  policy: 'lru' | 'lfu' | 'affinity';
  bonus: number;
  protect: number;
  megabytes: number;
  json?: boolean;
}

interface Row {
  readonly expertBytes: number;
  readonly routing: string;
  readonly tokensPerSecond: number;
  readonly misses: number;
  readonly tokens: number;
  readonly hitRate: number;
  readonly waited: number;
  /** Of the first row of this size; the median over rounds. */
  readonly speedup: number;
}

const ROUNDS = 12;

/** Before the first round, for V8 and the caches. */
const WARM_UP = 1 / 4;

function part(trace: RoutingTrace, from: number, tokens: number): RoutingTrace {
  const size = trace.layers * trace.experts;
  return { ...trace, tokens, logits: trace.logits.subarray(from * size, (from + tokens) * size) };
}

async function open(path: string, { budget }: Options, routing: Partial<MixtureOptions>, topK: number) {
  const source = await fileSource(path, { direct: true });
  return moe({ source, budgetBytes: budgetBytes(budget, source.index), topK, ...routing });
}

/** Both ways in turn over the same tokens, in an order that changes from round to round. */
async function measure(path: string, trace: RoutingTrace, options: Options): Promise<Row[]> {
  const { policy, bonus, protect, megabytes } = options;
  const ways = [
    { name: 'LRU, plain', mixture: await open(path, options, {}, trace.topK) },
    {
      name: `${policy}, bonus ${bonus}, ${protect} protected`,
      mixture: await open(path, options, { policy, bonus, protect }, trace.topK),
    },
  ];
  const expertBytes = ways[0].mixture.index.records[0].bytes;
  const read = trace.layers * trace.topK * expertBytes;
  const tokens = Math.min(trace.tokens, Math.max(ROUNDS, Math.floor((megabytes * 1e6) / read)));
  const round = Math.floor(tokens / (ROUNDS + WARM_UP * ROUNDS));
  const first = Math.floor(round * WARM_UP * ROUNDS);
  for (const { mixture } of ways) await replay(mixture, part(trace, 0, first));
  const before = ways.map(({ mixture }) => mixture.metrics.summary());
  const seconds: number[][] = ways.map(() => []);
  for (let i = 0; i < ROUNDS; i++) {
    const order = i % 2 === 0 ? [0, 1] : [1, 0];
    for (const way of order) {
      const run = await replay(ways[way].mixture, part(trace, first + i * round, round));
      seconds[way].push(run.seconds);
    }
  }
  const rows = ways.map(({ name, mixture }, way): Row => {
    const after = mixture.metrics.summary();
    const misses = after.misses - before[way].misses;
    const hits = after.hits - before[way].hits;
    const total = seconds[way].reduce((a, b) => a + b, 0);
    return {
      expertBytes,
      routing: name,
      tokens: ROUNDS * round,
      tokensPerSecond: (ROUNDS * round) / total,
      misses,
      hitRate: hits / (hits + misses),
      waited: (after.stalls.total - before[way].stalls.total) / 1000 / total,
      speedup: median(seconds[way].map((own, i) => seconds[0][i] / own)),
    };
  });
  await Promise.all(ways.map(({ mixture }: { mixture: MixtureOfExperts }) => mixture.close()));
  return rows;
}

async function measureAll(options: Options): Promise<Row[]> {
  const trace = await readTrace(options.trace);
  const rows = await measure(options.experts, trace, options);
  for (const size of options.sizes) {
    const path = `${options.experts}.${size}`;
    try {
      await writeRandomExperts(path, trace, size * 1e6);
      rows.push(...(await measure(path, trace, options)));
    } finally {
      await rm(path, { force: true });
    }
  }
  return rows;
}

function print(rows: readonly Row[]): string {
  return table(
    ['an expert', 'routing and eviction', 'tokens', 'hits', 'misses', 'waiting', 'tokens/s', 'times LRU'],
    rows.map((row) => [
      row.expertBytes < 1e6
        ? `${(row.expertBytes / 1e3).toFixed(1)} kB`
        : `${(row.expertBytes / 1e6).toFixed(2)} MB`,
      row.routing,
      row.tokens,
      percent(100 * row.hitRate),
      row.misses,
      percent(100 * row.waited),
      row.tokensPerSecond.toFixed(1),
      row.speedup.toFixed(2),
    ]),
  );
}

async function main(options: Options): Promise<void> {
  const rows = await measureAll(options);
  if (options.json) {
    console.log(JSON.stringify({ ...options, machine: machine(), rows }, null, 2));
    return;
  }
  console.log(headerLines('npm run bench:moe-paging', machine()).join('\n'));
  console.log(`memory for ${options.budget} of the experts, read with O_DIRECT`);
  console.log(print(rows));
}

runCommand(
  new Command('bench:moe-paging')
    .option('--trace <file>', 'a routing trace', 'build/moe-char-lm.moetrace')
    .option('--experts <file>', 'the container of the same model', 'build/moe-char-lm.lbme')
    .option('--sizes <megabytes>', 'sizes of made-up experts', numbers, [1, 4])
    .option('--budget <size>', 'as of moe replay', '25%')
    .option('--policy <name>', 'what is evicted, beside the bonus', 'lfu')
    .option('--bonus <ranges>', 'of experts in memory', real, 0.3)
    .option('--protect <picks>', 'so many picks of plain routing are kept', Number, 1)
    .option(
      '--megabytes <number>',
      'as many tokens each way as use so many of experts',
      positiveInteger,
      4000,
    )
    .option('--json', 'print the rows as JSON')
    .action(main),
);
