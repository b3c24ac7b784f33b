import { imageFolder } from '../calibration/data/image-folder';
import { openSamples } from '../calibration/data/open-samples';
import { type CompareReport, compare } from '../evaluation/compare';
import { isMeasurable, type MemoryUse } from '../evaluation/memory';
import { type SampleSource, withoutLabels } from '../graph/samples';
import type { ReportLayer } from '../report/report';
import { Command } from '../vendor/commander';
import {
  type CommandContext,
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
import { layersTable } from './layers-table';
import { type RecordCliOptions, recordSource, withRecordOptions } from './record-options';
import {
  makeReportWithProgress,
  type ReportCliOptions,
  type SavedReport,
  savedRows,
  saveReport,
  withReportOption,
} from './report-option';

interface Options extends CommonOptions, ImageCliOptions, RecordCliOptions, ReportCliOptions {
  float: string;
  lowbit: string;
  images?: string;
  data?: string[];
  labels?: string;
  labelOffset: number;
  limit?: number;
  latencyRuns?: number;
  memory: boolean;
  layers?: boolean;
}

type Result = CompareReport & SavedReport & { layers?: readonly ReportLayer[] };

/** The data of any of the options, without its labels. */
async function openData(options: Options): Promise<SampleSource> {
  if (options.data) return openSamples(options.data, imageOptions(options));
  const labelled = recordSource(options);
  if (labelled) return withoutLabels(labelled);
  return imageFolder(options.images as string, imageOptions(options));
}

async function compareLayers(options: Options, comparison: CompareReport, context: CommandContext) {
  if (!options.layers && options.report === undefined) return {};
  const { float, lowbit } = options;
  const samples = await openData(options);
  const { signal } = context;
  const report = await makeReportWithProgress(context.progress, {
    float,
    lowbit,
    samples,
    comparison,
    signal,
  });
  return { ...(options.layers && { layers: report.layers }), ...(await saveReport(report, options)) };
}

/** A dash for what is too small to measure. */
const resident = (use: MemoryUse) => (isMeasurable(use) ? megabytes(use.resident) : '–');
const peak = (use: MemoryUse) => (use.peak >= 2 * use.uncertainty ? megabytes(use.peak) : '–');

function print(report: Result): string {
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
      ['memory, resident growth', resident(memory.float), resident(memory.lowbit)],
      ['memory, peak growth', peak(memory.float), peak(memory.lowbit)],
    );
  }
  return [
    table(['', 'float', 'lowbit'], rows),
    ...(agreement === undefined ? [] : [`agreement: ${percent(agreement)} of ${report.samples} samples`]),
    ...report.outputs.map(
      ({ name, signalToNoise }) => `signal-to-noise of '${name}': ${signalToNoise.toFixed(2)} dB`,
    ),
    `speedup: ${latency.speedup.toFixed(2)}x (float on ${latency.backend}; lowbit on the ${latency.engine} engine, ${latency.isa}, threads: ${latency.threads}; ${latency.runs} interleaved runs)`,
    ...(report.layers ? [layersTable(report.layers)] : []),
    ...savedRows(report).map((row) => row.join(': ')),
  ].join('\n');
}

export function compareCommand(): Command {
  const command = new Command('compare')
    .description('compare a converted model with its float original')
    .requiredOption('--float <model.json>', 'the float model')
    .requiredOption('--lowbit <model.json>', 'the converted model')
    .option('--images <folder>', 'images to run both models on')
    .option('--data <data>', `other data to run: ${DATA_HELP}`, collect)
    .option('--labels <labels.json>', 'classes of the images: {"file": index or {"index": ...}}')
    .option('--label-offset <number>', "added to a label's index: 1 for a background class", integer, 0)
    .option('--limit <number>', 'maximum number of samples', positiveInteger)
    .option('--latency-runs <number>', 'timed predictions of each model (default: 50)', positiveInteger)
    .option('--no-memory', 'do not measure memory')
    .option('--layers', 'compare layer by layer, worst first');
  return withCommonOptions(
    withReportOption(withRecordOptions(withImageOptions(command))),
    'tfjs-lowbit compare --float float/model.json --lowbit int8/model.json --images photos --labels photos/labels.json',
  ).action((options: Options) =>
    runCommand(
      options,
      async (context) => {
        const comparison = await compare({
          ...options,
          samples: options.data && (await openSamples(options.data, imageOptions(options))),
          imageOptions: imageOptions(options),
          labelled: recordSource(options),
          signal: context.signal,
          onProgress: (done, total) => context.progress.update('comparing', done, total),
        });
        return { ...comparison, ...(await compareLayers(options, comparison, context)) };
      },
      print,
    ),
  );
}
