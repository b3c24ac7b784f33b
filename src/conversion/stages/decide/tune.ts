/**
 * The strategy `tune`: finds the ways to calibrate and to recover accuracy that suit a model. Each helps some models and
 * harms others, so the model is quantized with and without, and what leaves less noise in the outputs is kept.
 */
import { Validation } from '../../../evaluation/validation';
import { quantizeGraph } from '../../../passes/quantize/quantize-graph';
import { importBackend, withBackend } from '../../../tfjs/backends';
import { progressReporter } from '../../progress';
import type { Tuning, TuningTrial } from '../../report-types';
import type { Settings, TunableSettings, TuneSettings } from '../../settings';
import type { ObservedInt8, Prepare } from '../../stage-results';
import { decideInt8 } from './int8';

type Chosen = Partial<TunableSettings>;

/** Alternatives to the defaults, in the order in which they are tried. */
const ALTERNATIVES: readonly Chosen[] = [
  { calibrationMethod: 'percentile' },
  { equalize: true },
  { errorFeedback: true },
];

/** Samples that a trial is calibrated and measured on at most. */
const MAX_SAMPLES = 64;

/** What an alternative has to gain to be kept, in dB: less may be chance. */
const MIN_GAIN = 0.3;

/** A model that was observed under some settings. */
interface Prepared {
  readonly settings: Settings;
  readonly observed: ObservedInt8;
}

interface Trial extends Prepared {
  readonly chosen: Chosen;
  readonly signalToNoise: number;
}

/** Whether the stages before `decide` give the same under both settings. */
function prepareAlike(a: Settings, b: Settings): boolean {
  return a.samples === b.samples && a.calibrationMethod === b.calibrationMethod && a.equalize === b.equalize;
}

/** Quantizes and measures the float model under settings; what was prepared before is not prepared again. */
class Trials {
  private constructor(
    private readonly base: Settings,
    private readonly prepare: Prepare,
    private readonly validation: Validation,
    private readonly backend: Awaited<ReturnType<typeof importBackend>>,
  ) {}

  /** @param base settings of a trial without any of the alternatives */
  static async of({ model }: ObservedInt8, base: Settings, prepare: Prepare): Promise<Trials> {
    const { validation, samples, signal } = base;
    const backend = await importBackend();
    const float = await withBackend(backend, () => Validation.of(model.source, validation!, samples, signal));
    return new Trials(base, prepare, float, backend);
  }

  get samples(): number {
    return this.validation.samples;
  }

  /** The observed model under settings. */
  async observe(settings: Settings, known: readonly Prepared[]): Promise<ObservedInt8> {
    const alike = known.find((each) => prepareAlike(each.settings, settings));
    return alike?.observed ?? ((await this.prepare(settings)) as ObservedInt8);
  }

  async run(chosen: Chosen, known: readonly Prepared[]): Promise<Trial> {
    const settings = { ...this.base, ...chosen };
    const observed = await this.observe(settings, known);
    const { model, plan, observations, weights } = await decideInt8(observed, settings);
    const { graph } = quantizeGraph(model.graph, plan, observations, weights);
    const { signalToNoise } = await withBackend(this.backend, () => this.validation.measure(graph));
    return { chosen, settings, observed, signalToNoise };
  }
}

/** Settings of the trials: few samples, and nothing of what is applied to the tuned model only. */
function trialSettings(settings: Settings, { rules }: TuneSettings): Settings {
  return {
    ...settings,
    tune: undefined,
    accuracyTarget: undefined,
    costliestInt16: 0,
    rules,
    samples: Math.min(settings.samples, MAX_SAMPLES),
    report: progressReporter(undefined, settings.signal),
  };
}

/**
 * Tries the alternatives one after the other.
 *
 * @param observed the model under the settings as they are
 * @param prepare observes it under others
 * @returns the settings with the alternatives that were kept, the model under these, and what was tried
 */
export async function tune(
  observed: ObservedInt8,
  settings: Settings,
  tuneSettings: TuneSettings,
  prepare: Prepare,
): Promise<Prepared & { readonly tuning: Tuning }> {
  const alternatives = ALTERNATIVES.filter((alternative) =>
    tuneSettings.open.some((name) => name in alternative),
  );
  const given = { settings, observed };
  const trials = await Trials.of(observed, trialSettings(settings, tuneSettings), prepare);
  let best = await trials.run({}, [given]);
  const tried: TuningTrial[] = [{ options: {}, signalToNoise: best.signalToNoise, kept: true }];
  for (const alternative of alternatives) {
    settings.report('tune', tried.length, alternatives.length + 1);
    const trial = await trials.run({ ...best.chosen, ...alternative }, [best, given]);
    const kept = trial.signalToNoise >= best.signalToNoise + MIN_GAIN;
    tried.push({ options: alternative, signalToNoise: trial.signalToNoise, kept });
    if (kept) best = trial;
  }
  settings.report('tune', tried.length, alternatives.length + 1);
  const tuned = { ...settings, tune: undefined, ...best.chosen };
  return {
    settings: tuned,
    observed: await trials.observe(tuned, [given, best]),
    tuning: { samples: trials.samples, trials: tried },
  };
}
