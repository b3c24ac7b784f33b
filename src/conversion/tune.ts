/**
 * Finds the ways to calibrate and to recover accuracy that suit a model: each helps some models and costs others, so the
 * model is converted with and without, and what leaves less noise in the outputs is kept.
 */
import { unlabelled } from '../calibration/data/labelled';
import { Validation } from '../evaluation/validation';
import type { Graph } from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import { importBackend, withBackend } from '../tfjs/backends';
import { Settings, type SettingsOptions } from './config/settings';
import type { QuantizationOptions } from './convert';

/** What may be chosen, each an alternative to what a conversion does by default, in the order in which they are tried. */
const ALTERNATIVES = [
  { calibrationMethod: 'percentile' },
  { equalize: true },
  { errorFeedback: true },
] as const satisfies readonly SettingsOptions[];

/** Samples that a trial is calibrated and judged on at most. */
const MAX_SAMPLES = 64;

/** What an alternative has to gain to be kept, in dB: less may be chance. */
const MIN_GAIN = 0.3;

export interface TuningTrial {
  /** What was tried beside what had been kept before. */
  readonly options: SettingsOptions;
  /** The lowest signal-to-noise at an output of the float model, in dB. */
  readonly signalToNoise: number;
  readonly kept: boolean;
}

export interface Tuning {
  /** Samples that the trials were judged on. */
  readonly samples: number;
  /** The first is the model without any of the alternatives. */
  readonly trials: readonly TuningTrial[];
}

/** Alternatives to what neither the options nor the configuration say. */
function open(options: QuantizationOptions): SettingsOptions[] {
  const { calibration, ...config } = options.config ?? {};
  const said: SettingsOptions[] = [
    config as SettingsOptions,
    { calibrationMethod: calibration?.method },
    options,
  ];
  return ALTERNATIVES.filter((alternative) => {
    const [name] = Object.keys(alternative) as (keyof SettingsOptions)[];
    return said.every((given) => given[name] === undefined);
  });
}

/**
 * Tries the alternatives one after the other.
 *
 * @param source the float model
 * @param data what it is calibrated with, and judged on where the options have no validation data
 * @param convertOnce converts it as told
 * @returns the options with what was kept, and what was tried
 * @throws LowbitError as `convert`
 */
export async function tune(
  source: Graph,
  data: SampleSource,
  { tune: _, int16: __, maxDrop, minSignalToNoise, ...options }: QuantizationOptions,
  convertOnce: (options: QuantizationOptions) => Promise<{ readonly graph: Graph }>,
): Promise<{ options: SettingsOptions; tuning: Tuning }> {
  const { validation: labelled = unlabelled(data), signal, onProgress } = options;
  const backend = await importBackend();
  const samples = Math.min(new Settings(options).samples ?? MAX_SAMPLES, MAX_SAMPLES);
  const validation = await withBackend(backend, () => Validation.of(source, labelled, samples, signal));
  const noiseOf = async (chosen: SettingsOptions) => {
    const { graph } = await convertOnce({ ...options, ...chosen, samples, onProgress: undefined });
    return (await withBackend(backend, () => validation.measure(graph))).signalToNoise;
  };
  const alternatives = open(options);
  const progress = (done: number) => onProgress?.({ stage: 'tune', done, total: alternatives.length + 1 });
  let best = await noiseOf({});
  let chosen: SettingsOptions = {};
  const trials: TuningTrial[] = [{ options: {}, signalToNoise: best, kept: true }];
  for (const alternative of alternatives) {
    progress(trials.length);
    const signalToNoise = await noiseOf({ ...chosen, ...alternative });
    const kept = signalToNoise >= best + MIN_GAIN;
    trials.push({ options: alternative, signalToNoise, kept });
    if (!kept) continue;
    best = signalToNoise;
    chosen = { ...chosen, ...alternative };
  }
  progress(trials.length);
  return { options: chosen, tuning: { samples: validation.samples, trials } };
}
