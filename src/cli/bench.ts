import { openSamples } from '../calibration/data/open-samples';
import { type BenchOptions, type BenchReport, bench } from '../evaluation/bench';
import { Command } from '../vendor/commander';
import {
  type CommonOptions,
  collect,
  DATA_HELP,
  type ImageCliOptions,
  imageOptions,
  milliseconds,
  positiveInteger,
  positiveIntegers,
  runCommand,
  table,
  withCommonOptions,
  withImageOptions,
} from './command';
import { profileText } from './profile-table';

function print({ results, ...report }: BenchReport): string {
  const rows = results.map(({ threads, model, javascriptOverhead, float, speedup }) => [
    threads,
    milliseconds(model.median),
    milliseconds(model.min),
    milliseconds(javascriptOverhead),
    float ? milliseconds(float.median) : '-',
    speedup ? `${speedup.toFixed(2)}x` : '-',
  ]);
  const head = ['threads', 'median', 'min', 'outside the engine', 'float (1 thread)', 'speedup'];
  return [
    table(head, rows),
    `${report.engine} engine, ${report.isa}, ${report.runs} runs, batch ${report.batch}, float on ${report.backend}, Node.js ${report.versions.node}`,
    ...results.flatMap(({ threads, profile }) =>
      profile ? [`\nprofile, threads: ${threads}`, profileText(profile)] : [],
    ),
  ].join('\n');
}

export function benchCommand(): Command {
  const command = new Command('bench')
    .description('measure the latency of a converted model, and of a float model in the same run')
    .requiredOption('--model <model.json>', 'the converted model')
    .option('--float <model.json>', 'a float model to measure in the same run')
    .option('--threads <numbers>', 'numbers of threads to measure, separated by commas', positiveIntegers)
    .option('--runs <number>', 'measured predictions', positiveInteger, 100)
    .option('--batch <number>', 'batch size, where the model leaves it open', positiveInteger, 1)
    .option(
      '--data <data>',
      `data whose first sample is timed (default: made-up values): ${DATA_HELP}`,
      collect,
    )
    .option('--profile', 'compare every layer with the limits of the machine, most time lost first');
  return withCommonOptions(
    withImageOptions(command),
    'tfjs-lowbit bench --model int8/model.json --float float/model.json --threads 1,2',
  ).action((options: BenchOptions & CommonOptions & ImageCliOptions & { data?: string[] }) =>
    runCommand(
      options,
      async ({ progress, signal }) =>
        bench({
          ...options,
          samples: options.data && (await openSamples(options.data, imageOptions(options))),
          signal,
          onProgress: ({ stage, done, total }) => progress.update(stage, done, total),
        }),
      print,
    ),
  );
}
