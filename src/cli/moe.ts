import { ONLINE_POLICIES } from '../moe/cache/eviction-policy';
import { type PackReport, packExperts } from '../moe/pack';
import { POLICIES, type PolicyName, type Simulation, simulate } from '../moe/simulate';
import { EXPERT_ACTIVATIONS, type ExpertActivation } from '../moe/store/expert-bytes';
import { readTrace } from '../moe/trace';
import type { WeightsName } from '../quantization/layer-weights';
import { Command, InvalidArgumentError, Option } from '../vendor/commander';
import {
  type CommonOptions,
  expertFormats,
  megabytes,
  numbers,
  percent,
  positiveInteger,
  runCommand,
  table,
  withCommonOptions,
} from './command';

import { recordCommand } from './moe-record';
import { replayCommand } from './moe-replay';

interface SimulateOptions extends CommonOptions {
  trace: string;
  cache: number[];
  bonus: number[];
  bonusUnit: 'range' | 'score';
  protect?: number;
}

interface Row extends Simulation {
  policy: PolicyName;
  bonus: number;
}

interface SimulateReport {
  trace: { path: string; tokens: number; layers: number; experts: number; topK: number; source?: string };
  caches: { share: number; slots: number; floor: number; rows: Row[] }[];
}

/** Shares such as 25% or 12%,50%. */
function shares(text: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part.trim().replace(/%$/, ''));
    if (!(value > 0 && value <= 100))
      throw new InvalidArgumentError('Expected percents, separated by commas.');
    return value / 100;
  });
}

async function runSimulation({
  trace: path,
  cache,
  bonus,
  bonusUnit,
  protect,
}: SimulateOptions): Promise<SimulateReport> {
  const { logits, ...trace } = await readTrace(path);
  const experts = trace.layers * trace.experts;
  const caches = cache.map((share) => {
    const slots = Math.floor(share * experts);
    const replay = (policy: PolicyName, by: number): Row => ({
      policy,
      bonus: by,
      ...simulate({ ...trace, logits }, { policy, slots, bonus: by, bonusUnit, protect }),
    });
    const rows = [
      ...POLICIES.map((policy) => replay(policy, 0)),
      ...bonus.flatMap((by) => ONLINE_POLICIES.map((policy) => replay(policy, by))),
    ];
    return { share, slots, floor: trace.layers * trace.topK, rows };
  });
  return { trace: { path, ...trace }, caches };
}

function print({ trace, caches }: SimulateReport): string {
  const tables = caches.map(({ share, slots, floor, rows }) => {
    const lru = rows.find(({ policy, bonus }) => policy === 'lru' && bonus === 0)!;
    const note = slots < floor ? `; one token uses ${floor}, so every token starts anew` : '';
    return table(
      [
        `cache ${percent(100 * share)}, ${slots} experts${note}`,
        'hits',
        'misses',
        'of LRU',
        'picks changed',
        'gate mass lost',
      ],
      rows.map(({ policy, bonus, hitRate, misses, changed, massLost }) => [
        bonus === 0 ? policy : `${policy}, bonus ${bonus}`,
        percent(100 * hitRate),
        misses,
        (misses / Math.max(lru.misses, 1)).toFixed(2),
        percent(100 * changed),
        percent(100 * massLost),
      ]),
    );
  });
  const { tokens, layers, experts, topK, source } = trace;
  const what = `${tokens} tokens through ${layers} layers of ${experts} experts, top-${topK}`;
  return [source === undefined ? what : `${what} (${source})`, ...tables].join('\n');
}

function simulateCommand(): Command {
  const command = new Command('simulate')
    .description(
      'replay a routing trace: misses of each eviction policy, and the cost of preferring resident experts',
    )
    .requiredOption('--trace <file>', 'a trace written by moe record')
    .option('--cache <percents>', 'shares of all experts that fit in memory', shares, [0.12, 0.25, 0.5])
    .option('--bonus <numbers>', 'bonuses of resident experts to try', numbers, [0.1, 0.2, 0.4])
    .addOption(
      new Option('--bonus-unit <unit>', 'range: of the score range of a layer; score: of the logits')
        .choices(['range', 'score'])
        .default('range'),
    )
    .option(
      '--protect <picks>',
      'number of top picks of plain routing that are always kept',
      positiveInteger,
    );
  return withCommonOptions(
    command,
    'tfjs-lowbit moe simulate --trace shakespeare.moetrace --cache 25%',
  ).action((options: SimulateOptions) => runCommand(options, () => runSimulation(options), print));
}

interface PackOptions extends CommonOptions {
  input: string;
  output: string;
  up: string;
  upBias?: string;
  gate?: string;
  gateBias?: string;
  down: string;
  downBias?: string;
  activation: ExpertActivation;
  formats: WeightsName[];
  group?: number;
  order: 'inputs-first' | 'outputs-first';
}

function printPack({ output, layers, experts, layout, precisions }: PackReport): string {
  const { width, hidden, activation, gated } = layout;
  const what = `${layers} layer(s) of ${experts} experts, ${width} x ${hidden}, ${activation}${gated ? ', gated' : ''}`;
  return [
    `${output}: ${what}`,
    table(
      ['precision', 'per expert', 'all'],
      precisions.map(({ name, expertBytes, bytes }) => [name, megabytes(expertBytes), megabytes(bytes)]),
    ),
  ].join('\n');
}

function packCommand(): Command {
  const command = new Command('pack')
    .description('write the experts of a model into a container from which single experts can be read')
    .requiredOption('--input <model.json>', 'a TF.js model')
    .requiredOption('--output <file>', 'the container')
    .requiredOption(
      '--up <name>',
      'weights of the first linear layer; {layer} and {expert} are placeholders for numbers',
    )
    .option('--up-bias <name>', 'its bias')
    .option('--gate <name>', 'weights of the linear layer that gates the first')
    .option('--gate-bias <name>', 'its bias')
    .requiredOption('--down <name>', 'weights of the last linear layer')
    .option('--down-bias <name>', 'its bias')
    .addOption(
      new Option('--activation <name>', 'between the linear layers')
        .choices(EXPERT_ACTIVATIONS)
        .default('relu'),
    )
    .option('--formats <names>', 'precisions; the first is the default at run time', expertFormats, [
      'int8',
    ] as const)
    .option('--group <number>', 'weights that share a scale in the low-bit formats', positiveInteger)
    .addOption(
      new Option('--order <order>', 'order of the axes of a matrix')
        .choices(['inputs-first', 'outputs-first'])
        .default('inputs-first'),
    );
  return withCommonOptions(
    command,
    "tfjs-lowbit moe pack --input model/model.json --output experts.lbme --up 'moe_{layer}/up' --down 'moe_{layer}/down'",
  ).action((options: PackOptions) => {
    const { input, output, activation, order, up, upBias, gate, gateBias, down, downBias, group } = options;
    const formats = options.formats.map((format) => ({ format, ...(group !== undefined && { group }) }));
    const names = { up, upBias, gate, gateBias, down, downBias };
    return runCommand(
      options,
      () => packExperts({ input, output, activation, order, names, formats }),
      printPack,
    );
  });
}

export function moeCommand(): Command {
  return new Command('moe')
    .description('run mixture-of-experts models in less memory than their experts take')
    .addCommand(packCommand())
    .addCommand(recordCommand())
    .addCommand(simulateCommand())
    .addCommand(replayCommand());
}
