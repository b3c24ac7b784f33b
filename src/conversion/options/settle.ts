/** The place that reads options: checks them all and resolves them, with the configuration, into settings. */
import { fromUser } from '../../base/coded-errors';
import { checkArgument, LowbitError } from '../../base/errors';
import { heldOut, withoutHeldOut } from '../../calibration/data/held-out';
import { randomSamples } from '../../calibration/data/random';
import { DEFAULT_METHOD } from '../../calibration/observers/methods';
import { type InputSpec, type SampleSource, unlabelled } from '../../graph/samples';
import { blockOf, DEFAULT_GROUP } from '../../quantization/layer-weights';
import { type Config, checkConfig, type LayerConfig } from '../config/config';
import { LayerRules } from '../config/layer-rules';
import { progressReporter } from '../progress';
import type { RecipeName } from '../recipes';
import { type Settings, TUNABLE } from '../settings';
import { TARGETS } from '../stages/decide/recipe/target';
import { checkQuantization } from './check-options';
import { idleOptions } from './idle-options';
import type { QuantizationOptions } from './options';

const DEFAULT_SAMPLES = 128;

const DEFAULT_PERCENTILE = 99.99;

/** Seconds. */
const DEFAULT_TIME_BUDGET = 180;

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
  return new LayerRules({
    ...config,
    layers: [...(config.layers ?? []), ...dynamicLayers, ...int16Layers, ...skipped],
  });
}

/** Samples of the user's own, whose errors say whose they are. */
function ownSource<Item>(
  source: (inputs: readonly InputSpec[]) => AsyncIterable<Item>,
  what: string,
): (inputs: readonly InputSpec[]) => AsyncIterable<Item> {
  return (inputs) => fromUser(() => source(inputs), what);
}

/** `tune` chooses only among settings that are left open. */
function openSettings(options: QuantizationOptions, { calibration, equalize, errorFeedback }: Config) {
  const configured = { calibrationMethod: calibration?.method, equalize, errorFeedback };
  return TUNABLE.filter((name) => options[name] === undefined && configured[name] === undefined);
}

/** Options that say themselves how accurate a model becomes: without `recipe`, nothing else is searched for then. */
function decidesItself(options: QuantizationOptions, config: Config, rules: LayerRules): boolean {
  const { tune, maxDrop, minSignalToNoise, int16 = 0, targetBits = config.targetBits } = options;
  const { weights = config.weights ?? 'int8', activations = config.activations ?? 'int8' } = options;
  const costliest = typeof int16 === 'number' && int16 > 0;
  const searches = [maxDrop, minSignalToNoise, targetBits];
  const precise = ({ activations: precision, bits, weights: stored }: LayerConfig) =>
    precision !== undefined || (typeof bits === 'number' && bits < 8) || (stored ?? 'int8') !== 'int8';
  return (
    tune === true ||
    costliest ||
    searches.some((option) => option !== undefined) ||
    weights !== 'int8' ||
    activations !== 'int8' ||
    rules.some(precise)
  );
}

function recipeOf(
  options: QuantizationOptions,
  config: Config,
  rules: LayerRules,
  hasData: boolean,
): RecipeName {
  const given = options.recipe ?? config.recipe;
  const own = decidesItself(options, config, rules);
  if (given === undefined || given === 'fast') return given ?? (own || !hasData ? 'fast' : 'balanced');
  checkArgument(hasData, 'recipe', "'fast', as there is no calibration data to judge on", given);
  checkArgument(!own, 'recipe', "'fast', as other options decide how accurate the model becomes", given);
  return given;
}

function checkCalibration(calibration: Calibration, { activations, tune }: Settings): void {
  if (tune) {
    checkArgument(typeof calibration === 'function', 'calibration', 'samples to tune on', calibration);
    checkArgument(activations === 'int8', 'activations', 'int8, the only type that is tuned,', activations);
  }
  const known = typeof calibration === 'function' || calibration === 'random' || calibration === undefined;
  checkArgument(known, 'calibration', "a source of samples or 'random'", calibration);
}

/** The first of some settings that is given and not switched off. */
function firstGiven(settings: Readonly<Record<string, unknown>>): string | undefined {
  return Object.keys(settings).find((name) => settings[name] !== undefined && settings[name] !== false);
}

/** Refuses what cannot be done for INT8 activations without data. */
function checkWithoutData(settings: Settings): void {
  const { targetBits, accuracyTarget, equalize, errorFeedback, costliestInt16, biasCorrection } = settings;
  const name = firstGiven({
    targetBits,
    ...accuracyTarget,
    equalize,
    errorFeedback,
    'biasCorrection sequential': biasCorrection === 'sequential',
    'int16 as a number': costliestInt16 > 0,
  });
  if (name === undefined) return;
  throw new LowbitError('invalid-argument', `The option ${name} needs calibration data; give calibration.`);
}

/** Refuses what only makes sense for INT8 activations. */
function checkWeightOnly({ targetBits, accuracyTarget, equalize, costliestInt16, rules }: Settings): void {
  const name = firstGiven({
    targetBits,
    ...accuracyTarget,
    equalize,
    'int16 or dynamic': costliestInt16 > 0 || rules.activationRules.length > 0,
  });
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
  const rules = layerRules(options, config);
  const activations = options.activations ?? config.activations ?? 'int8';
  const random = activations === 'int8' ? randomSamples() : undefined;
  const data =
    typeof calibration === 'function'
      ? ownSource(calibration, 'The calibration data')
      : calibration === 'random'
        ? random
        : undefined;
  const validation = options.validation && ownSource(options.validation, 'The validation data');
  const samples = options.samples ?? config.calibration?.samples;
  const { maxDrop, minSignalToNoise, int16, timeBudget = DEFAULT_TIME_BUDGET, signal } = options;
  const recipe = recipeOf(options, config, rules, data !== undefined && calibration !== 'random');
  const split = data && (recipe !== 'fast' || config.calibration?.holdOut) ? data : undefined;
  const calibrationData = split ? withoutHeldOut(split) : data;
  const settings: Settings = {
    activations,
    data: calibrationData,
    ...(split && { heldOut: heldOut(split) }),
    randomData: calibration === 'random',
    samples: samples ?? DEFAULT_SAMPLES,
    samplesRequested: samples !== undefined,
    validation: validation ?? (calibrationData && unlabelled(calibrationData)),
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
    ...(options.tune && { tune: { open: openSettings(options, config) } }),
    ...(recipe !== 'fast' && {
      recipe: {
        name: recipe,
        target: TARGETS[recipe],
        open: openSettings(options, config),
        deadline: performance.now() + timeBudget * 1000,
      },
    }),
    rules,
    idle: [],
    report: progressReporter(options.onProgress, signal),
    signal,
  };
  checkCalibration(calibration, settings);
  if (activations === 'float32') checkWeightOnly(settings);
  else if (!data) checkWithoutData(settings);
  return Object.freeze({ ...settings, idle: idleOptions(options, settings) });
}
