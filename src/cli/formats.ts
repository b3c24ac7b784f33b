import { type FormatsReport, formats } from '../evaluation/formats';
import { ROTATION_BLOCKS } from '../quantization/hadamard';
import { DEFAULT_GROUP, GROUPS } from '../quantization/layer-weights';
import { Command, Option } from '../vendor/commander';
import { type CommonOptions, runCommand, table, withCommonOptions } from './command';

interface FormatsCliOptions extends CommonOptions {
  model?: string;
  group: string;
  block: string;
}

const bits = (value: number) => value.toFixed(3);
const error = (value: number) => value.toFixed(4);

function print({ group, rotation, distributions, model }: FormatsReport): string {
  const shared = group === 0 ? 'a row shares a scale' : `${group} inputs share a scale`;
  const known = table(
    ['format', 'bits per weight', 'Gaussian', 'rotated', 'Laplace', 'rotated'],
    distributions.map(({ format, bitsPerWeight, gaussian, laplace }) => [
      format,
      bits(bitsPerWeight),
      error(gaussian.plain),
      error(gaussian.rotated),
      error(laplace.plain),
      error(laplace.rotated),
    ]),
  );
  const legend =
    `Squared error over the weights' sum of squares; ${shared}; rotated in blocks of ${rotation.block}. ` +
    'absmax: alpha from the largest weight of a channel, for comparison only.';
  if (!model) return `${known}\n${legend}`;
  const { layers, totals, leftOut } = model;
  const weights = layers.reduce((sum, { rows, depth }) => sum + rows * depth, 0);
  return [
    known,
    table(
      ['format', 'bits per weight', 'this model', 'rotated', 'rotated where it helps', 'layers rotated'],
      totals.map(({ format, bitsPerWeight, plain, rotated, best, rotatedLayers }) => [
        format,
        bits(bitsPerWeight),
        error(plain),
        error(rotated),
        error(best),
        `${rotatedLayers} of ${layers.length}`,
      ]),
    ),
    `${legend} The model: ${weights} weights in ${layers.length} layers; ${leftOut.length} left out. --json has every layer.`,
  ].join('\n');
}

export function formatsCommand(): Command {
  const command = new Command('formats')
    .description('show bits and errors of the low-bit weight formats, on known distributions and on a model')
    .option('--model <model.json>', 'a float model to measure as well')
    .addOption(
      new Option('--group <inputs>', 'inputs that share a scale; 0: all inputs of an output')
        .choices(GROUPS.map(String))
        .default(String(DEFAULT_GROUP)),
    )
    .addOption(
      new Option('--block <inputs>', 'inputs of one block of the rotation')
        .choices(ROTATION_BLOCKS.map(String))
        .default('128'),
    );
  return withCommonOptions(command, 'tfjs-lowbit formats --model mobilenet/model.json --group 64').action(
    ({ model, group, block, ...options }: FormatsCliOptions) =>
      runCommand(
        options,
        ({ progress, signal }) =>
          formats({
            model,
            group: Number(group),
            block: Number(block),
            onProgress: (done, total) => progress.update('matrices', done, total),
            signal,
          }),
        print,
      ),
  );
}
