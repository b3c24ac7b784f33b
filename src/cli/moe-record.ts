import { LowbitError } from '../base/errors';
import { openSamples } from '../calibration/data/open-samples';
import { type RecordReport, recordTrace } from '../evaluation/record-trace';
import { type SampleSource, withoutLabels } from '../graph/samples';
import { Command } from '../vendor/commander';
import {
  type CommonOptions,
  collect,
  DATA_HELP,
  type ImageCliOptions,
  imageOptions,
  megabytes,
  positiveInteger,
  runCommand,
  withCommonOptions,
  withImageOptions,
} from './command';
import { type RecordCliOptions, recordSource, withRecordOptions } from './record-options';

interface Options extends CommonOptions, ImageCliOptions, RecordCliOptions {
  model: string;
  data?: string[];
  out: string;
  limit?: number;
}

async function openData(options: Options): Promise<SampleSource> {
  const labelled = recordSource(options);
  if (labelled && !options.data) return withoutLabels(labelled);
  if (options.data && !labelled) return openSamples(options.data, imageOptions(options));
  throw new LowbitError('invalid-argument', 'Give data to run, either --data <path> or --records <file>.');
}

function print({ output, samples, tokens, layers, experts, topK, bytes }: RecordReport): string {
  return (
    `${output}: ${tokens} tokens of ${samples} samples through ${layers} layers of ${experts} experts, top-${topK}, ` +
    `${megabytes(bytes)}`
  );
}

export function recordCommand(): Command {
  const command = new Command('record')
    .description('run a converted mixture-of-experts model on data and write the logits of its routers')
    .requiredOption('--model <model.json>', 'the converted model')
    .option('--data <data>', `what to run: ${DATA_HELP}; or --records`, collect)
    .requiredOption('--out <file>', 'where to write the routing trace')
    .option('--limit <number>', 'maximum number of samples', positiveInteger);
  return withCommonOptions(
    withRecordOptions(withImageOptions(command)),
    'tfjs-lowbit moe record --model moe-int8/model.json --data samples.npz --out a.moetrace',
  ).action((options: Options) =>
    runCommand(
      options,
      async ({ progress, signal }) =>
        recordTrace({
          model: options.model,
          samples: await openData(options),
          output: options.out,
          limit: options.limit,
          signal,
          onProgress: (done) => progress.update('recording', done, options.limit),
        }),
      print,
    ),
  );
}
