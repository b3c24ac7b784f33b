import { createServer, type Server } from 'node:http';
import { ONLINE_POLICIES, type OnlinePolicy } from '../moe/cache/eviction-policy';
import { budgetBytes } from '../moe/memory-budget';
import { type MixtureOfExperts, moe } from '../moe/mixture';
import { prometheusText } from '../moe/prometheus';
import { type Replay, replay } from '../moe/replay';
import { fileSource } from '../moe/store/file-source';
import { httpSource } from '../moe/store/http-source';
import { redisSource } from '../moe/store/redis-source';
import type { ExpertSource } from '../moe/store/source';
import { readTrace } from '../moe/trace';
import { SingleBar } from '../vendor/cli-progress';
import { Command, Option } from '../vendor/commander';
import {
  type CommonOptions,
  megabytes,
  milliseconds,
  percent,
  positiveInteger,
  real,
  runCommand,
  table,
  withCommonOptions,
} from './command';

interface Options extends CommonOptions {
  trace: string;
  experts: string;
  budget: string;
  precision?: string;
  policy: OnlinePolicy;
  bonus: number;
  protect?: number;
  prefetch?: number;
  repeat: number;
  direct?: boolean;
  metricsPort?: number;
}

/** A file, an address of a web server, or redis://host:port/#prefix. */
function openSource(location: string, direct: boolean): Promise<ExpertSource> {
  if (/^https?:/.test(location)) return httpSource(location);
  if (!/^rediss?:/.test(location)) return fileSource(location, { direct });
  const [url, prefix = 'experts'] = location.split('#');
  return redisSource({ url, prefix });
}

/** Serves the metrics while the command runs. */
function serve({ metrics }: MixtureOfExperts, port: number): Server {
  const server = createServer(async (_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(await prometheusText(metrics.summary()));
  });
  return server.listen(port);
}

async function run(options: Options, signal: AbortSignal): Promise<Replay> {
  const { precision, policy, bonus, protect, prefetch, metricsPort } = options;
  const trace = await readTrace(options.trace);
  const source = await openSource(options.experts, options.direct ?? false);
  const bytes = budgetBytes(options.budget, source.index, precision);
  const mixture = moe({
    source,
    budgetBytes: bytes,
    precision,
    topK: trace.topK,
    policy,
    bonus,
    protect,
    prefetch,
  });
  const server = metricsPort === undefined ? undefined : serve(mixture, metricsPort);
  const bar = new SingleBar({
    format:
      '{value}/{total} tokens [{bar}] {hits} % hits, {paged} read, {stalled} waited, {ahead} read ahead',
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(trace.tokens * options.repeat, 0, { hits: '-', paged: '-', stalled: '-', ahead: '-' });
  try {
    return await replay(mixture, trace, {
      repeat: options.repeat,
      signal,
      onProgress: (done, _, summary) => {
        if (done % 16 !== 0) return;
        const { hitRate, bytesPaged, stalls, prefetch: read } = summary();
        bar.update(done, {
          hits: (100 * hitRate).toFixed(1),
          paged: megabytes(bytesPaged),
          stalled: milliseconds(stalls.total),
          ahead: `${read.used} of ${read.issued}`,
        });
      },
    });
  } finally {
    bar.stop();
    server?.close();
    await mixture.close();
  }
}

function print({ tokens, seconds, tokensPerSecond, reservedBytes, residentGrowth, metrics }: Replay): string {
  const { hits, misses, hitRate, bytesPaged, evictions, stalls, prefetch, routing, changed } = metrics;
  return table(
    ['', ''],
    [
      ['tokens', `${tokens} in ${seconds.toFixed(2)} s, ${tokensPerSecond.toFixed(1)} a second`],
      ['hits', `${hits} (${percent(100 * hitRate)}), ${misses} misses, ${evictions} evictions`],
      ['read', megabytes(bytesPaged)],
      [
        'waited for experts',
        `${milliseconds(stalls.total)}, median ${milliseconds(stalls.p50)}, p99 ${milliseconds(stalls.p99)}`,
      ],
      [
        'read ahead',
        `${prefetch.issued}, precision ${percent(100 * prefetch.precision)}, recall ${percent(100 * prefetch.recall)}`,
      ],
      [
        'routing',
        `median ${milliseconds(routing.p50)}, p99 ${milliseconds(routing.p99)}; ${percent(100 * changed)} of the picks changed`,
      ],
      ['memory', `${megabytes(reservedBytes)} for experts, resident growth ${megabytes(residentGrowth)}`],
    ],
  );
}

export function replayCommand(): Command {
  const command = new Command('replay')
    .description('replay a routing trace with real experts: tokens per second, waiting, reading, memory')
    .requiredOption('--trace <file>', 'a routing trace')
    .requiredOption('--experts <where>', 'a container: a file, an http address, or redis://host:port#prefix')
    .option(
      '--budget <size>',
      'a share of all experts (25%), bytes (64MB), raspberry-pi-5, phone, laptop, browser or auto',
      '25%',
    )
    .option('--precision <name>', 'precision to read (default: the first of the container)')
    .addOption(new Option('--policy <name>', 'eviction policy').choices(ONLINE_POLICIES).default('lru'))
    .option('--bonus <number>', 'bonus of resident experts in routing, in score ranges', real, 0)
    .option('--protect <picks>', 'number of top picks of plain routing that are always kept', positiveInteger)
    .option(
      '--prefetch <experts>',
      'number of experts of the next layer to read ahead, by affinity',
      positiveInteger,
    )
    .option('--repeat <times>', 'number of times to run the trace', positiveInteger, 1)
    .option('--direct', 'bypass the page cache of the operating system')
    .option(
      '--metrics-port <port>',
      'port on which to serve the metrics to Prometheus during the run',
      positiveInteger,
    );
  return withCommonOptions(
    command,
    'tfjs-lowbit moe replay --trace a.moetrace --experts experts.lbme --budget 25% --bonus 0.2 --direct',
  ).action((options: Options) => runCommand(options, ({ signal }) => run(options, signal), print));
}
