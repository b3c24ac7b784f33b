/** The one place that reads options: checks them all and resolves them, with the configuration, into settings. */
import { dirname, resolve } from 'node:path';
import { checkArgument, LowbitError } from '../../base/errors';
import { unlabelled } from '../../calibration/data/labelled';
import { randomSamples } from '../../calibration/data/random';
import { DEFAULT_METHOD } from '../../calibration/observers/methods';
import { toPath } from '../../graph/read-graph-model';
import type { SampleSource } from '../../graph/samples';
import { blockOf, DEFAULT_GROUP } from '../../quantization/layer-weights';
import { type Config, checkConfig, type LayerConfig } from '../config/config';
import { LayerRules } from '../config/layer-rules';
import { progressReporter } from '../progress';
import { type Destination, type ExpertPacking, type Settings, TUNABLE } from '../settings';
import { checkConversion, checkExperts, checkQuantization } from './check-options';
import type { ConvertOptions, DryRunOptions, ExpertPackOptions, QuantizationOptions } from './options';

const DEFAULT_SAMPLES = 128;

const DEFAULT_PERCENTILE = 99.99;

type Calibration = SampleSource | 'random' | undefined;

/** Entries that give every pattern of an option the same settings. */
function entries(option: string, patterns: unknown, settings: Omit<LayerConfig, 'match'>): LayerConfig[] {
  const { skip = [] } = checkConfig({ skip: patterns }, option);
  return skip.map((match) => ({ match, ...settings }));
}

/** Rules of the configuration and of the options. Options override the configuration, and `skip` overrides all. */
function layerRules({ skip = [], int16 = 0, dynamic = [] }: QuantizationOptions, config: Config) {
  const dynamicLayers = entries('dynamic', dynamic, { activations: 'dynamic' });
  const int16Layers = entries('int16', typeof int16 === 'number' ? [] : int16, { activations: 'int16' });
  const skipped = entries('skip', skip, { bits: 'float' });
  const rulesWith = (more: readonly LayerConfig[]) =>
    new LayerRules({ ...config, layers: [...(config.layers ?? []), ...dynamicLayers, ...more, ...skipped] });
  return { rules: rulesWith(int16Layers), withoutInt16: rulesWith([]) };
}

/** `tune` chooses only among settings that are left open. */
function openSettings(options: QuantizationOptions, { calibration, equalize, errorFeedback }: Config) {
  const configured = { calibrationMethod: calibration?.method, equalize, errorFeedback };
  return TUNABLE.filter((name) => options[name] === undefined && configured[name] === undefined);
}

function checkCalibration(calibration: Calibration, { activations, tune }: Settings): void {
  if (tune) {
    checkArgument(typeof calibration === 'function', 'calibration', 'samples to tune on', calibration);
    checkArgument(activations === 'int8', 'activations', 'int8, the only type that is tuned,', activations);
  }
  const known = typeof calibration === 'function' || calibration === 'random';
  const optional = activations === 'float32' && calibration === undefined;
  checkArgument(known || optional, 'calibration', "a source of samples or 'random'", calibration);
}

/** Refuses what only makes sense for INT8 activations. */
function checkWeightOnly({ targetBits, accuracyTarget, equalize, costliestInt16, rules }: Settings): void {
  const [name] =
    Object.entries({
      targetBits,
      maxDrop: accuracyTarget?.maxDrop,
      minSignalToNoise: accuracyTarget?.minSignalToNoise,
      equalize: equalize || undefined,
      'int16 or dynamic': costliestInt16 > 0 || rules.hasActivationRules || undefined,
    }).find(([, value]) => value !== undefined) ?? [];
  if (name === undefined) return;
  throw new LowbitError(
    'invalid-argument',
    `The option ${name} is about layers with INT8 activations; leave it out where activations stay float32.`,
  );
}

/**
 * Resolves options. They override the configuration.
 *
 * @throws LowbitError 'invalid-argument' naming the option or the field of the configuration that is wrong
 */
export function settle(options: QuantizationOptions, calibration: Calibration): Settings {
  checkQuantization(options);
  const config = options.config ? checkConfig(options.config, 'config') : {};
  const { rules, withoutInt16 } = layerRules(options, config);
  const activations = options.activations ?? config.activations ?? 'int8';
  const random = activations === 'int8' ? randomSamples() : undefined;
  const data = calibration === 'random' ? random : calibration;
  const samples = options.samples ?? config.calibration?.samples;
  const { maxDrop, minSignalToNoise, int16, signal } = options;
  const settings: Settings = {
    activations,
    data,
    randomData: calibration === 'random',
    samples: samples ?? DEFAULT_SAMPLES,
    samplesRequested: samples !== undefined,
    validation: options.validation ?? (data && unlabelled(data)),
    validationSamples: options.validationSamples ?? DEFAULT_SAMPLES,
    calibrationMethod: options.calibrationMethod ?? config.calibration?.method ?? DEFAULT_METHOD,
    percentile: options.percentile ?? config.calibration?.percentile ?? DEFAULT_PERCENTILE,
    equalize: options.equalize ?? config.equalize ?? false,
    weightRange: options.weightRange ?? config.weightRange ?? 'max',
    biasCorrection: options.biasCorrection ?? config.biasCorrection ?? 'fast',
    regions: options.regions ?? config.regions ?? true,
    errorFeedback: options.errorFeedback ?? config.errorFeedback ?? false,
    targetBits: options.targetBits ?? config.targetBits,
    weights: {
      format: options.weights ?? config.weights ?? 'int8',
      group: options.group ?? config.group ?? DEFAULT_GROUP,
      block: blockOf(options.rotate ?? config.rotate),
    },
    costliestInt16: typeof int16 === 'number' ? int16 : 0,
    ...((maxDrop !== undefined || minSignalToNoise !== undefined) && {
      accuracyTarget: { maxDrop, minSignalToNoise },
    }),
    ...(options.tune && { tune: { open: openSettings(options, config), rules: withoutInt16 } }),
    rules,
    report: progressReporter(options.onProgress, signal),
    signal,
  };
  checkCalibration(calibration, settings);
  if (activations === 'float32') checkWeightOnly(settings);
  return Object.freeze(settings);
}

function settleExperts(options: ExpertPackOptions = {}): ExpertPacking {
  checkExperts(options);
  const { formats = [{ format: 'int8' }], budget = 'auto' } = options;
  return { formats, budget };
}

/** The same for a model in files. */
export function settleConversion(options: ConvertOptions): {
  readonly input: string;
  readonly destination: Destination;
  readonly settings: Settings;
} {
  checkConversion(options);
  const { input, output, overwrite = false } = options;
  if (resolve(output) === dirname(toPath(input))) {
    throw new LowbitError(
      'invalid-argument',
      `The output folder ${output} is the folder of the input model; choose another.`,
    );
  }
  const experts = settleExperts(options.experts);
  return {
    input,
    destination: { folder: output, overwrite, experts },
    settings: settle(options, options.calibration),
  };
}

/** The same for a conversion that writes nothing. */
export function settleDryRun(options: DryRunOptions): {
  readonly input: string;
  readonly experts: ExpertPacking;
  readonly settings: Settings;
} {
  const settings = settle(options, options.calibration);
  const { activations, tune } = settings;
  checkArgument(
    activations === 'int8',
    'activations',
    'int8, as a dry run measures layers in INT8,',
    activations,
  );
  checkArgument(!tune, 'tune', 'false, as a dry run measures one configuration,', options.tune);
  return { input: options.input, experts: settleExperts(options.experts), settings };
}
