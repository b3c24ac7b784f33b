/** What each way to recover accuracy gained that a conversion used: the model is converted again without it. */

import { randomSamples } from '../calibration/data/random';
import type { Config } from '../conversion/config/config';
import { convertGraph } from '../conversion/convert-graph';
import type { QuantizationReport } from '../conversion/report-types';
import { Validation } from '../evaluation/validation';
import { readModel } from '../graph/read-model';
import type { SampleSource } from '../graph/samples';
import { unlabelled } from '../graph/samples';
import { importBackend, withBackend } from '../tfjs/backends';

export interface RecoveryEffect {
  readonly pass: string;
  /** The lowest signal-to-noise at an output, in dB, of the model converted without the pass, and as it is. */
  readonly without: number;
  readonly with: number;
}

interface RecoveryPass {
  readonly name: string;
  used(config: Config): boolean;
  readonly off: Config;
}

/** Each with the configuration of a conversion without it. */
const PASSES: readonly RecoveryPass[] = [
  { name: 'equalization', used: ({ equalize }) => equalize === true, off: { equalize: false } },
  {
    name: 'weight ranges by least squares',
    used: ({ weightRange }) => weightRange === 'mse',
    off: { weightRange: 'max' },
  },
  {
    name: 'error feedback',
    used: ({ errorFeedback }) => errorFeedback === true,
    off: { errorFeedback: false },
  },
  {
    name: 'fast bias correction',
    used: ({ biasCorrection }) => biasCorrection === 'fast',
    off: { biasCorrection: 'none' },
  },
  {
    name: 'sequential bias correction',
    used: ({ biasCorrection }) => biasCorrection === 'sequential',
    off: { biasCorrection: 'fast' },
  },
];

export interface RecoveryOptions {
  /** Path or file URL of the float model's model.json. */
  float: string;
  /** What it was converted with; without data there is no pass to measure. */
  calibration: SampleSource | 'random' | undefined;
  /** The report of the conversion: its decisions are kept but for the pass. */
  conversion: Pick<QuantizationReport, 'config'>;
  /** How many samples to measure on. Default 16. */
  samples?: number;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

/**
 * Measures what each pass changed. Every pass costs a conversion of its own.
 *
 * @returns in the order in which they are applied; empty where none was used
 * @throws LowbitError as `convert`
 */
export async function recoveryEffects(options: RecoveryOptions): Promise<RecoveryEffect[]> {
  const { calibration, conversion, samples = 16, signal } = options;
  const { config } = conversion;
  const used = PASSES.filter((pass) => config.activations !== 'float32' && pass.used(config));
  if (used.length === 0 || calibration === undefined) return [];
  const source = await readModel(options.float);
  const data = calibration === 'random' ? randomSamples() : calibration;
  const backend = await importBackend();
  const validation = await withBackend(backend, () =>
    Validation.of(source, unlabelled(data), samples, signal),
  );
  const noiseOf = async (given: Config) => {
    const { graph } = await convertGraph(source, calibration, { config: given, signal });
    return (await withBackend(backend, () => validation.measure(graph))).signalToNoise;
  };
  const whole = await noiseOf(config);
  const effects: RecoveryEffect[] = [];
  for (const { name, off } of used) {
    options.onProgress?.(effects.length, used.length);
    effects.push({ pass: name, without: await noiseOf({ ...config, ...off }), with: whole });
  }
  return effects;
}
