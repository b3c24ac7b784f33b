import { Command } from 'commander';
import { openSamples } from '../calibration/data/open-samples';
import { type CompareReport, compare } from '../compare';
import {
  type CommonOptions,
  collect,
  DATA_HELP,
  type ImageCliOptions,
  imageOptions,
  integer,
  megabytes,
  milliseconds,
  percent,
  positiveInteger,
  runCommand,
  table,
  withCommonOptions,
  withImageOptions,
} from './command';
import { type RecordCliOptions, recordSource, withRecordOptions } from './record-options';

interface Options extends CommonOptions, ImageCliOptions, RecordCliOptions {
  float: string;
  lowbit: string;
  images?: string;
  data?: string[];
  labels?: string;
  labelOffset: number;
  limit?: number;
  memory: boolean;
}

function print(report: CompareReport): string {
  const { top1, agreement, latency, memory, bytes } = report;
  const rows: (string | number)[][] = [];
  if (top1) {
    rows.push([`top-1 on ${top1.labelled} labelled samples`, percent(top1.float), percent(top1.lowbit)]);
  }
  rows.push(
    ['latency, median', milliseconds(latency.float), milliseconds(latency.lowbit)],
    ['size', megabytes(bytes.float), megabytes(bytes.lowbit)],
  );
  if (memory) {
    rows.push(
      ['memory, resident growth', megabytes(memory.float.resident), megabytes(memory.lowbit.resident)],
      ['memory, peak growth', megabytes(memory.float.peak), megabytes(memory.lowbit.peak)],
    );
  }
  return [
    table(['', 'float', 'lowbit'], rows),
    ...(agreement === undefined ? [] : [`agreement: ${percent(agreement)} of ${report.samples} samples`]),
    ...report.outputs.map(
      ({ name, signalToNoise }) => `signal-to-noise of '${name}': ${signalToNoise.toFixed(2)} dB`,
    ),
    `speedup: ${latency.speedup.toFixed(2)}x (float on ${latency.backend}; lowbit on ${latency.isa}, threads: ${latency.threads}; ${latency.runs} interleaved runs)`,
  ].join('\n');
}

export function compareCommand(): Command {
  const command = new Command('compare')
    .description('compare a converted model with its float original')
    .requiredOption('--float <model.json>', 'the float model')
    .requiredOption('--lowbit <model.json>', 'the converted model')
    .option('--images <folder>', 'images to run')
    .option('--data <data>', `other data to run: ${DATA_HELP}`, collect)
    .option('--labels <labels.json>', 'classes of the images: {"file": index or {"index": ...}}')
    .option('--label-offset <number>', "added to a label's index: 1 for a background class", integer, 0)
    .option('--limit <number>', 'how many samples to run at most', positiveInteger)
    .option('--no-memory', 'do not measure memory');
  return withCommonOptions(
    withRecordOptions(withImageOptions(command)),
    'tfjs-lowbit compare --float float/model.json --lowbit int8/model.json --images photos --labels photos/labels.json',
  ).action((options: Options) =>
    runCommand(
      options,
      async ({ progress, signal }) =>
        compare({
          ...options,
          samples: options.data && (await openSamples(options.data, imageOptions(options))),
          imageOptions: imageOptions(options),
          labelled: recordSource(options),
          signal,
          onProgress: (done, total) => progress.update('comparing', done, total),
        }),
      print,
    ),
  );
}
