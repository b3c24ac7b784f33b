/** What the commands share: output, progress, cancelling, errors. */

import { LowbitError } from '../base/errors';
import type { ImageOptions } from '../graph/samples';
import { WEIGHT_FORMATS, type WeightsName } from '../quantization/layer-weights';
import { jsonNumber } from '../report/json';
import { SingleBar } from '../vendor/cli-progress';
import Table from '../vendor/cli-table3';
import { type Command, InvalidArgumentError, Option } from '../vendor/commander';
import { runAgainByNpx } from './npx';

export interface CommonOptions {
  json?: boolean;
  verbose?: boolean;
}

const CANCELLED = 130;

/** Adds `--json` and `--verbose`, and an example to the help. */
export function withCommonOptions(command: Command, example: string): Command {
  return command
    .option('--json', 'print the result as JSON')
    .option('--verbose', 'print the stack of an error')
    .addHelpText('after', `\nExample:\n  ${example}`);
}

export interface ImageCliOptions {
  imageSize?: number;
  crop?: 'center' | 'none';
  cropFraction?: number;
  mean?: number[];
  std?: number[];
  color?: 'rgb' | 'bgr';
  layout?: 'nhwc' | 'nchw';
}

export function withImageOptions(command: Command): Command {
  return command
    .option('--image-size <pixels>', 'side of the square input (default: that of the model)', positiveInteger)
    .addOption(
      new Option('--crop <how>', 'center: resize the short side and crop the center; none: stretch')
        .choices(['center', 'none'])
        .default('center'),
    )
    .option(
      '--crop-fraction <share>',
      'share of the resized short side that the crop keeps (default: 0.875, 224 of 256)',
      real,
    )
    .option(
      '--mean <numbers>',
      'subtracted from the pixels, 0 to 255, one number or one per channel (default: 127.5; 0 for inputs of whole numbers)',
      numbers,
    )
    .option(
      '--std <numbers>',
      'divides what is left, one number or one per channel (default: 127.5; 1 for inputs of whole numbers)',
      numbers,
    )
    .addOption(new Option('--color <order>', 'order of the channels').choices(['rgb', 'bgr']).default('rgb'))
    .addOption(
      new Option(
        '--layout <layout>',
        'channels last or first (default: where the model has one or three)',
      ).choices(['nhwc', 'nchw']),
    );
}

export function imageOptions(options: ImageCliOptions): ImageOptions {
  const { imageSize, crop, cropFraction, mean, std, color, layout } = options;
  return { imageSize, crop, cropFraction, mean, std, color, layout };
}

/** What `openSamples` reads, for the help of an option. */
export const DATA_HELP =
  'a folder of images, a .npy or .npz file, a .mjs module that yields samples, or input=file for each input (repeated or ' +
  'separated by commas); a number instead of a file, ratio=0.25 or state=0@1x16x16x8, is the same tensor in every sample';

/** For an option that may be repeated. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('Expected a positive integer.');
  return value;
}

export function integer(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value)) throw new InvalidArgumentError('Expected an integer.');
  return value;
}

export function real(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

export function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (!values.every(Number.isFinite)) {
    throw new InvalidArgumentError('Expected numbers, separated by commas.');
  }
  return values;
}

export function positiveIntegers(text: string): number[] {
  return text.split(',').map(positiveInteger);
}

/** Names of the precisions that experts are packed in. */
export function expertFormats(text: string): WeightsName[] {
  return text.split(',').map((part) => {
    const found = WEIGHT_FORMATS.find((name) => name === part.trim());
    if (!found) throw new InvalidArgumentError(`Expected ${WEIGHT_FORMATS.join(', ')}, separated by commas.`);
    return found;
  });
}

/** A progress bar on stderr; nothing if stderr is not a terminal. */
export class Progress {
  private readonly bar = new SingleBar({
    format: '{stage} [{bar}] {value}/{total}',
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  private stage: string | undefined;

  update(stage: string, done: number, total: number | undefined): void {
    if (stage !== this.stage) {
      if (this.stage !== undefined) this.bar.stop();
      this.bar.start(total ?? done, 0, { stage });
      this.stage = stage;
    }
    if (total !== undefined) this.bar.setTotal(total);
    this.bar.update(done);
  }

  stop(): void {
    if (this.stage !== undefined) this.bar.stop();
    this.stage = undefined;
  }
}

export interface CommandContext {
  progress: Progress;
  signal: AbortSignal;
}

/**
 * Runs a command: the result on stdout, as `print` shows it or as JSON; errors on stderr, one line; Ctrl-C cancels.
 * The exit code is 0 on success only.
 */
export async function runCommand<T>(
  options: CommonOptions,
  body: (context: CommandContext) => Promise<T>,
  print: (result: T) => string,
): Promise<void> {
  const controller = new AbortController();
  const cancel = () => controller.abort();
  process.once('SIGINT', cancel);
  process.once('SIGTERM', cancel);
  const progress = new Progress();
  try {
    const result = await body({ progress, signal: controller.signal });
    progress.stop();
    process.stdout.write(`${options.json ? JSON.stringify(result, jsonNumber, 2) : print(result)}\n`);
  } catch (error) {
    progress.stop();
    const lacking = error instanceof LowbitError && error.code === 'missing-package';
    const status = lacking ? runAgainByNpx() : undefined;
    if (status !== undefined) {
      process.exitCode = status;
      return;
    }
    const { message, stack } = error as Error;
    process.stderr.write(`tfjs-lowbit: ${options.verbose ? stack : message}\n`);
    process.exitCode = error instanceof LowbitError && error.code === 'cancelled' ? CANCELLED : 1;
  } finally {
    process.removeListener('SIGINT', cancel);
    process.removeListener('SIGTERM', cancel);
  }
}

export function table(head: string[], rows: (string | number)[][]): string {
  const result = new Table({ head, style: { head: [], border: [] } });
  result.push(...rows);
  return result.toString();
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(value < 1 ? 3 : 2)} ms`;
}

export function percent(value: number): string {
  return `${value.toFixed(2)} %`;
}
