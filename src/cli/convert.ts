import { join } from 'node:path';
import { checkArgument, LowbitError } from '../base/errors';
import { labelledImages } from '../calibration/data/labelled';
import { openSamples } from '../calibration/data/open-samples';
import { randomSamples } from '../calibration/data/random';
import {
  CALIBRATION_METHODS,
  type CalibrationMethod,
  DEFAULT_METHOD,
} from '../calibration/observers/methods';
import type { Config } from '../conversion/config/config';
import { readConfig, writeConfig } from '../conversion/config/config-file';
import { convert } from '../conversion/convert';
import { type DryRunReport, dryRun } from '../conversion/dry-run';
import type { ConvertProgress } from '../conversion/progress';
import { RECIPES, type RecipeName } from '../conversion/recipes';
import type { ConvertReport, Tuning } from '../conversion/report-types';
import { compare } from '../evaluation/compare';
import type { OutputFidelity } from '../evaluation/fidelity';
import { type LabelledSource, type SampleSource, unlabelled, withoutLabels } from '../graph/samples';
import { BIAS_CORRECTIONS, type BiasCorrection } from '../quantization/bias-correction';
import { ROTATION_BLOCKS } from '../quantization/hadamard';
import {
  ACTIVATIONS,
  type Activations,
  DEFAULT_GROUP,
  GROUPS,
  type Group,
  type RotateOption,
  WEIGHT_FORMATS,
  type WeightsName,
} from '../quantization/layer-weights';
import { WEIGHT_RANGES, type WeightRange } from '../quantization/weight-range';
import { recoveryEffects } from '../report/recovery';
import { Command, InvalidArgumentError, Option } from '../vendor/commander';
import { accuracyTable } from './accuracy-table';
import {
  type CommandContext,
  type CommonOptions,
  collect,
  DATA_HELP,
  expertFormats,
  type ImageCliOptions,
  imageOptions,
  integer,
  megabytes,
  percent,
  positiveInteger,
  real,
  runCommand,
  table,
  withCommonOptions,
  withImageOptions,
} from './command';
import { printDryRun } from './dry-run';
import { floatTable, sizeAfter, workShare } from './figures';
import { recipeTable } from './recipe-table';
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
  input: string;
  output: string;
  calibration?: string[];
  calibrationMethod?: CalibrationMethod;
  percentile?: number;
  recipe?: RecipeName;
  timeBudget?: number;
  config?: string;
  writeConfig?: string;
  skip?: string[];
  samples?: number;
  equalize?: boolean;
  weightRange?: WeightRange;
  int16?: string[];
  dynamic?: string[];
  biasCorrection?: BiasCorrection;
  weights?: WeightsOption;
  group?: Group;
  rotate?: RotateOption;
  errorFeedback?: boolean;
  targetBits?: number;
  activations?: Activations;
  tune?: boolean;
  maxDrop?: number;
  minSnr?: number;
  validation?: string;
  validationSamples?: number;
  labels?: string;
  regions: boolean;
  overwrite?: boolean;
  experts?: WeightsName[];
  expertBudget?: string;
}

/** `--weights`: a format for all layers, and formats of single ones by pattern. */
interface WeightsOption {
  format?: WeightsName;
  layers: { match: string; weights: WeightsName }[];
}

/** Samples that a report compares the models on. */
const REPORT_SAMPLES = 16;

/** Without regions, layers cannot be seen; once equalized, they have no counterpart in the float model. */
function checkReportable({ report, regions, equalize, tune }: Options): void {
  if (report === undefined || (regions && !equalize && !tune)) return;
  const other = tune ? '--tune' : equalize ? '--equalize' : '--no-regions';
  throw new LowbitError(
    'invalid-argument',
    `A report compares layers with those of the float model: give either --report or ${other}.`,
  );
}

/** Reads `trellis2` or `head/**=int4`; may be given again and again. */
function weightsOption(text: string, before: WeightsOption = { layers: [] }): WeightsOption {
  const at = text.lastIndexOf('=');
  const format = text.slice(at + 1) as WeightsName;
  if (!WEIGHT_FORMATS.includes(format))
    throw new InvalidArgumentError(`Expected one of ${WEIGHT_FORMATS.join(', ')}.`);
  return at < 0
    ? { ...before, format }
    : { ...before, layers: [...before.layers, { match: text.slice(0, at), weights: format }] };
}

function oneOf<Value extends number>(values: readonly Value[]): (text: string) => Value {
  return (text) => {
    const found = values.find((value) => String(value) === text);
    if (found === undefined) throw new InvalidArgumentError(`Expected one of ${values.join(', ')}.`);
    return found;
  };
}

async function configOf({ config, weights }: Options): Promise<Config | undefined> {
  const read = config === undefined ? undefined : await readConfig(config);
  if (!weights || weights.layers.length === 0) return read;
  return { ...read, layers: [...(read?.layers ?? []), ...weights.layers] };
}

async function openCalibration(options: Options): Promise<SampleSource | 'random' | undefined> {
  const { calibration, records } = options;
  if (calibration === undefined && records === undefined) return undefined;
  const labelled = recordSource(options);
  if (labelled && calibration === undefined) return withoutLabels(labelled);
  if (calibration?.join() === 'random' && !labelled) return 'random';
  if (calibration !== undefined && !labelled) return openSamples(calibration, imageOptions(options));
  throw new LowbitError(
    'invalid-argument',
    'Give representative data, either --calibration <path> or --records <file>.',
  );
}

/** The converted model beside the float one, on some of the data that it was calibrated with. */
async function saveConvertReport(
  options: Options,
  converted: ConvertReport,
  calibration: SampleSource | 'random' | undefined,
  { progress, signal }: CommandContext,
) {
  if (options.report === undefined) return {};
  const samples = typeof calibration === 'function' ? calibration : randomSamples();
  const models = { float: options.input, lowbit: join(converted.output, 'model.json'), samples, signal };
  const comparison = await compare({
    ...models,
    limit: REPORT_SAMPLES,
    latencyRuns: 20,
    memory: false,
    onProgress: (done) => progress.update('comparing', done, REPORT_SAMPLES),
  });
  const recovery = await recoveryEffects({
    float: options.input,
    calibration,
    conversion: converted,
    signal,
    onProgress: (done, total) => progress.update('recovery', done, total),
  });
  return saveReport(
    await makeReportWithProgress(progress, { ...models, comparison, conversion: converted, recovery }),
    options,
  );
}

/** Validation data: data of its own, or the calibration data, with labels where there are any. */
async function openValidation(options: Options): Promise<LabelledSource | undefined> {
  const { validation, calibration = [], labels, labelOffset } = options;
  if (labels === undefined && validation === undefined) return recordSource(options);
  const data = validation === undefined ? calibration : [validation];
  if (labels === undefined) return unlabelled(await openSamples(data, imageOptions(options)));
  checkArgument(data.length === 1, '--labels', 'none unless the data is one folder of images', labels);
  return labelledImages(data[0], { imageOptions: imageOptions(options), labels, labelOffset });
}

function tuningTable({ samples, trials }: Tuning): string {
  const describe = (options: object) => Object.entries(options).map(([name, value]) => `${name}: ${value}`);
  const rows = trials.map(({ options, signalToNoise, kept }) => [
    describe(options).join(', ') || 'none',
    signalToNoise.toFixed(1),
    kept ? 'yes' : 'no',
  ]);
  return table([`tried on ${samples} samples`, 'dB', 'kept'], rows);
}

const decibels = (value: number | undefined) =>
  value === undefined ? '–' : Number.isFinite(value) ? value.toFixed(1) : 'no noise';

/** How near each output is to the float model's, and each part of one that joins several tensors. */
function fidelityTable({ fidelity }: ConvertReport): string[] {
  if (!fidelity) return [];
  const { samples, heldBack, outputs } = fidelity;
  const varying = ({ selectedFrom, constant, varyingSignalToNoise }: OutputFidelity) =>
    selectedFrom
      ? 'comes of a selection'
      : constant
        ? 'does not depend on it'
        : decibels(varyingSignalToNoise);
  const rows = outputs.flatMap(({ parts = [], ...output }) => [
    [output.name, decibels(output.signalToNoise), varying(output)],
    ...parts.map((part) => [`  ${part.name}`, decibels(part.signalToNoise), '']),
  ]);
  const origin = heldBack ? 'held back from calibration' : 'of the calibration data';
  return [table([`outputs on ${samples} samples ${origin}`, 'dB', 'dB of what depends on the input'], rows)];
}

/** Layers by format, and those that stay in INT8 against the configuration. */
function weightsTable({ quantized }: ConvertReport): string[] {
  const layers = quantized.filter(({ weights }) => weights !== undefined);
  const lowBit = layers.some(({ weights, weightsReason }) => weights !== 'int8' || weightsReason);
  if (!lowBit) return [];
  const rows = layers.map(({ name, op, weights, bitsPerWeight, rotation, weightSignalToNoise, ...layer }) => [
    name,
    op,
    weights ?? '',
    bitsPerWeight?.toFixed(2) ?? '',
    rotation ?? '',
    weightSignalToNoise === undefined ? '' : `${weightSignalToNoise.toFixed(1)} dB`,
    layer.weightsReason ?? '',
  ]);
  return [table(['layer', 'op', 'weights', 'bits a weight', 'rotation', 'of weights', 'why INT8'], rows)];
}

/** The choices of a mix: noise at the outputs with each layer alone at each width. */
function allocationTable({ allocation }: ConvertReport): string[] {
  if (!allocation) return [];
  const widths = allocation.layers[0]?.options.map(({ bits }) => bits) ?? [];
  const rows = allocation.layers.map(({ name, weights, options, chosen }) => [
    name,
    weights,
    ...options.map(({ signalToNoise }) => signalToNoise.toFixed(1)),
    chosen,
  ]);
  return [table(['layer', 'weights', ...widths.map((bits) => `dB at ${bits} bits`), 'bits'], rows)];
}

function expertRows({ experts: packed }: ConvertReport): string[][] {
  if (!packed) return [];
  const { layers, experts, topK, budget, precisions } = packed;
  const sizes = precisions.map(({ name, bytes }) => `${name} ${megabytes(bytes)}`).join(', ');
  return [['experts', `${layers} layer(s) of ${experts}, top-${topK}: ${sizes}; in memory: ${budget}`]];
}

function print(report: ConvertReport & SavedReport): string {
  const { quantized, float, bytes, macs, calibration } = report;
  const summary = table(
    ['', ''],
    [
      [
        report.config.activations === 'float32' ? 'nodes with quantized weights' : 'nodes in INT8',
        `${quantized.length}, in ${report.regions} region(s)`,
      ],
      ['nodes left float', `${float.length}; ${macs.floatProducts.length} of ${macs.products} products`],
      ...(report.config.activations === 'float32'
        ? []
        : [['multiply-accumulates in INT8', workShare(macs.percent, macs)]]),
      ...(macs.int16 > 0
        ? [['multiply-accumulates in int16', percent(macs.integerPercent - macs.percent)]]
        : []),
      ['size before', megabytes(bytes.before)],
      ['size after', sizeAfter(bytes)],
      ['bits a weight', report.bitsPerWeight.toFixed(2)],
      ['calibration', `${calibration.samples} samples, ${calibration.method}`],
      ...expertRows(report),
      ['written to', report.output],
      ...savedRows(report),
    ],
  );
  return [
    summary,
    ...(report.recipe ? [recipeTable(report.recipe)] : []),
    ...fidelityTable(report),
    ...allocationTable(report),
    ...weightsTable(report),
    ...(report.tuning ? [tuningTable(report.tuning)] : []),
    ...(report.accuracy ? [accuracyTable(report.accuracy)] : []),
    ...floatTable('left float', macs, float),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}

/** A number of layers, or names of layers. */
function int16Of({ int16 = [] }: Options): number | string[] {
  const [first, ...more] = int16;
  return more.length === 0 && /^\d+$/.test(first ?? '') ? Number(first) : int16;
}

/** The options of a conversion, apart from its data. */
async function conversion(options: Options, { progress, signal }: CommandContext) {
  return {
    ...options,
    config: await configOf(options),
    // Once equalized, layers have no counterpart in the float model that a report could compare them with.
    ...(options.report !== undefined && { equalize: false }),
    weights: options.weights?.format,
    regions: options.regions ? undefined : false,
    experts: {
      formats: options.experts?.map((format) => ({ format, group: options.group })),
      budget: options.expertBudget,
    },
    minSignalToNoise: options.minSnr,
    int16: int16Of(options),
    validation: await openValidation(options),
    signal,
    onProgress: ({ stage, done, total }: ConvertProgress) => progress.update(stage, done, total),
  };
}

async function runDry(options: Options, context: CommandContext): Promise<DryRunReport> {
  return dryRun({
    ...(await conversion(options, context)),
    calibration: (await openCalibration(options)) ?? 'random',
  });
}

export function convertCommand(): Command {
  const command = new Command('convert')
    .description('convert a float model, graph model or layers model, to INT8')
    .requiredOption('--input <model.json>', 'the float model')
    .option('--output <folder>', 'where the converted model goes')
    .option(
      '--dry-run',
      'write nothing; estimate the size, the speed, and what each layer costs in INT8 alone',
    )
    .option(
      '--calibration <data>',
      `representative data: ${DATA_HELP}; random: for trying out; or --records`,
      collect,
    )
    .addOption(
      new Option(
        '--recipe <name>',
        'fast: static INT8, whatever its accuracy; balanced: where that leaves less than 25 dB at an output, dynamic or int16 activations for as few layers as need them; accurate: the same for 35 dB (default: balanced)',
      ).choices(RECIPES),
    )
    .option(
      '--time-budget <seconds>',
      'time that the search for a recipe may take; then the best so far is used (default: 180)',
      real,
    )
    .addOption(
      new Option(
        '--calibration-method <method>',
        `how ranges are chosen from the observed values (default: ${DEFAULT_METHOD})`,
      ).choices(CALIBRATION_METHODS),
    )
    .option('--percentile <percent>', 'share of the values that either bound keeps (default: 99.99)', Number)
    .option('--samples <number>', 'how many samples to use at most (default: 128)', positiveInteger)
    .option(
      '--equalize',
      'bring the channels of a tensor to similar ranges by rescaling the layers around it',
    )
    .addOption(
      new Option(
        '--weight-range <how>',
        'bounds of weights: max, or mse, the least squared error (default: max)',
      ).choices(WEIGHT_RANGES),
    )
    .addOption(
      new Option(
        '--bias-correction <method>',
        "none, fast (for each layer's own weights) or sequential (also for the layers before it; slower) (default: fast)",
      ).choices(BIAS_CORRECTIONS),
    )
    .option(
      '--weights <[pattern=]format>',
      `how weights are stored: ${WEIGHT_FORMATS.join(', ')}; with a pattern: for single layers (repeat; default: int8)`,
      weightsOption,
    )
    .option(
      '--group <inputs>',
      `inputs that share a scale in low-bit formats: ${GROUPS.join(', ')}; 0: all of a row (default: ${DEFAULT_GROUP})`,
      oneOf(GROUPS),
    )
    .option(
      '--rotate [block]',
      `rotate inputs and weights of low-bit layers where it lowers their error, in blocks of ${ROTATION_BLOCKS.join(', ')} (default: 128)`,
      oneOf(ROTATION_BLOCKS),
    )
    .option('--error-feedback', 'compensate the error of each weight in those rounded after it (slower)')
    .option(
      '--target-bits <bits>',
      'mix layers of 8, 4, 3 and 2 bits to at most this many a weight on average',
      real,
    )
    .addOption(
      new Option(
        '--activations <type>',
        'int8; or float32: only weights are quantized, of matrix products and of tables (default: int8)',
      ).choices(ACTIVATIONS),
    )
    .option(
      '--int16 <layers>',
      'int16 activations: a number of layers, those that cost the most accuracy, or names such as head/** (repeat for more)',
      collect,
    )
    .option(
      '--dynamic <layers>',
      'dynamic activations, INT8 scaled when the model runs, for layers of these names (repeat for more)',
      collect,
    )
    .option(
      '--tune',
      'try percentile ranges, equalization and error feedback, only options you have not set, and keep what leaves less noise in the outputs (several extra conversions)',
    )
    .option(
      '--max-drop <points>',
      'accuracy target: lose at most this much top-1; as few layers as possible get dynamic or int16 activations, or stay float',
      real,
    )
    .option(
      '--min-snr <dB>',
      'accuracy target: at least this signal-to-noise ratio at every output; met in the same way',
      real,
    )
    .option(
      '--validation <data>',
      'data that accuracy targets are measured on (default: the calibration data)',
    )
    .option(
      '--validation-samples <number>',
      'how many validation samples to use at most (default: 128)',
      positiveInteger,
    )
    .option('--labels <labels.json>', 'classes of the images: {"file": index or {"index": ...}}')
    .option('--label-offset <number>', "added to a label's index: 1 for a background class", integer, 0)
    .option(
      '--config <lowbit.json>',
      'a configuration: settings of single layers, and defaults for the other options',
    )
    .option(
      '--write-config <lowbit.json>',
      'write all that was decided, layer by layer, as a configuration for --config',
    )
    .option(
      '--skip <pattern>',
      'leave nodes of these names in float, such as head/** (repeat for more)',
      collect,
    )
    .option(
      '--no-regions',
      'one node for each quantized op instead of one a region: slower, shows every tensor',
    )
    .option(
      '--experts <formats>',
      'precisions of the experts of MoELayers, which go into a file of their own; the first is read by default (default: int8)',
      expertFormats,
    )
    .option(
      '--expert-budget <size>',
      'memory for experts when the model runs: a share of all (25%), bytes (64MB), a device, or auto (default)',
    )
    .option('--overwrite', 'replace an output folder that holds another model');
  return withCommonOptions(
    withReportOption(withRecordOptions(withImageOptions(command))),
    'tfjs-lowbit convert --input mobilenet/model.json --output mobilenet-int8 --calibration photos --image-size 224',
  ).action((options: Options & { output?: string; dryRun?: boolean }) => {
    if (options.dryRun) return runCommand(options, (context) => runDry(options, context), printDryRun);
    return runCommand(
      options,
      async (context) => {
        if (options.output === undefined) {
          throw new LowbitError('invalid-argument', "required option '--output <folder>' not specified");
        }
        checkReportable(options);
        const calibration = await openCalibration(options);
        const converted = await convert({ ...(await conversion(options, context)), calibration });
        if (options.writeConfig !== undefined) await writeConfig(options.writeConfig, converted.config);
        return { ...converted, ...(await saveConvertReport(options, converted, calibration, context)) };
      },
      print,
    );
  });
}
