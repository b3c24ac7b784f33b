import { Command, InvalidArgumentError, Option } from 'commander';
import { POLICIES, type PolicyName, type Simulation, simulate } from '../moe/simulate';
import { readTrace } from '../moe/trace';
import { currentEngine } from '../runtime/current-engine';
import {
  type CommonOptions,
  numbers,
  percent,
  positiveInteger,
  runCommand,
  table,
  withCommonOptions,
} from './command';

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
  const engine = currentEngine();
  const experts = trace.layers * trace.experts;
  const caches = cache.map((share) => {
    const slots = Math.floor(share * experts);
    const replay = (policy: PolicyName, by: number): Row => ({
      policy,
      bonus: by,
      ...simulate(engine, { ...trace, logits }, { policy, slots, bonus: by, bonusUnit, protect }),
    });
    const rows = [
      ...POLICIES.map((policy) => replay(policy, 0)),
      ...bonus.flatMap((by) => (['lru', 'affinity'] as const).map((policy) => replay(policy, by))),
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
      'replay a routing trace: misses of each eviction policy, and what preferring residents costs',
    )
    .requiredOption('--trace <file>', 'a trace that moe record wrote')
    .option('--cache <percents>', 'shares of all experts that fit in memory', shares, [0.12, 0.25, 0.5])
    .option('--bonus <numbers>', 'bonuses of resident experts to try', numbers, [0.1, 0.2, 0.4])
    .addOption(
      new Option('--bonus-unit <unit>', 'range: of the score range of a layer; score: of the logits')
        .choices(['range', 'score'])
        .default('range'),
    )
    .option('--protect <picks>', 'so many picks of plain routing are kept', positiveInteger);
  return withCommonOptions(
    command,
    'tfjs-lowbit moe simulate --trace shakespeare.moetrace --cache 25%',
  ).action((options: SimulateOptions) => runCommand(options, () => runSimulation(options), print));
}

export function moeCommand(): Command {
  return new Command('moe')
    .description('mixture-of-experts models in less memory than they have')
    .addCommand(simulateCommand());
}
