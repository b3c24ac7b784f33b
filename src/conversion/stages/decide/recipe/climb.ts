/** The ladder of one model: its trials, and those that were kept. */
import { yieldToCancel } from '../../../../base/cancelled';
import type { LayerSensitivity } from '../../../../evaluation/sensitivity';
import type { Graph } from '../../../../graph/ir';
import { quantizeGraph } from '../../../../passes/quantize/quantize-graph';
import type { Precision, RecipeStep } from '../../../report-types';
import type { Settings, TUNABLE, TunableSettings } from '../../../settings';
import type { Int8Decision, ObservedInt8, Prepare } from '../../../stage-results';
import { decideInt8 } from '../int8';
import { feedbackMacs } from '../round-weights';
import type { Goal, Verdict } from './goal';

/** Settings that cost nothing when the model runs, in the order in which they are tried. */
const FREE: readonly Partial<TunableSettings>[] = [
  { errorFeedback: true },
  { equalize: true },
  { calibrationMethod: 'percentile' },
];

/** Error feedback that takes more multiply-accumulates is left out: the time is better spent on other steps. */
const MAX_FEEDBACK_MACS = 3e11;

/** What a step has to gain to be kept, in dB: less may be chance. */
export const MIN_GAIN = 0.5;

/** By layer; layers that are absent are static INT8. */
export type Precisions = ReadonlyMap<string, Precision>;

export interface Trial extends Verdict {
  /** Its place among the steps. */
  readonly step: number;
  readonly decision: Int8Decision;
  /** Settings that are tried in it. */
  readonly alternative?: Partial<TunableSettings>;
  /** Layers that got higher precision in it. */
  readonly added: Precisions;
}

function quantized({ model, plan, observations, weights }: Int8Decision): Graph {
  return quantizeGraph(model.graph, plan, observations, weights).graph;
}

/** Runs trials, and remembers those that were better than the ones before. */
export class Climb {
  readonly steps: RecipeStep[] = [];
  /** Without their decisions, which hold weights. */
  readonly trials: Omit<Trial, 'decision'>[] = [];
  /** Each better than the one before, or as good and faster. */
  readonly kept: Trial[] = [];
  /** By step, by how much its model exceeds the target on other samples. */
  private readonly confirmed = new Map<number, number>();
  /** By how much a model that meets the target has to exceed it, in dB. */
  margin = Number.NEGATIVE_INFINITY;
  /** What is enough where the target cannot be met, in dB above it. */
  nearest = Number.POSITIVE_INFINITY;
  /** The layers as they were measured one by one, if they were. */
  layers: readonly LayerSensitivity[] = [];

  constructor(
    readonly goal: Goal,
    /** Settings that neither the options nor the configuration fix. */
    private readonly open: readonly (typeof TUNABLE)[number][],
    /** Their signal is also that of the time budget. */
    readonly settings: Settings,
    private readonly prepare: Prepare,
  ) {}

  /** What the model is converted with if nothing better comes. */
  get best(): Trial {
    return this.kept.at(-1)!;
  }

  keep(trial: Trial): void {
    this.kept.push(trial);
  }

  isEnough({ met, excess }: Trial): boolean {
    return excess >= (met ? this.margin : this.nearest);
  }

  async try(
    name: string,
    decision: Int8Decision,
    { alternative, added = new Map() }: Partial<Pick<Trial, 'alternative' | 'added'>> = {},
  ): Promise<Trial> {
    const start = performance.now();
    const graph = quantized(decision);
    const first = this.steps.length === 0;
    if (!first) await yieldToCancel(this.settings.signal);
    const verdict = await this.goal.measure(graph, first ? undefined : this.settings.signal);
    const { worst, excess, met, milliseconds } = verdict;
    const tried = {
      ...verdict,
      step: this.steps.length,
      added,
      ...(alternative && { alternative }),
    };
    this.steps.push({
      name,
      ...(worst && { worst: worst.name, signalToNoise: worst.signalToNoise }),
      excess,
      met,
      ...(milliseconds !== undefined && { milliseconds }),
      seconds: (performance.now() - start) / 1000,
    });
    this.trials.push(tried);
    this.settings.report('refine', this.steps.length, this.steps.length);
    return { ...tried, decision };
  }

  /**
   * Measures a trial on other samples, if the goal has any.
   *
   * @returns by how much it exceeds the target there, in dB; undefined where that is not known
   */
  async confirm({ decision, step }: Trial): Promise<number | undefined> {
    const { goal, settings, confirmed } = this;
    if (!goal.confirm || confirmed.has(step)) return confirmed.get(step);
    await yieldToCancel(settings.signal);
    const { met, excess } = await goal.confirm(quantized(decision), settings.signal);
    this.steps[step] = { ...this.steps[step], confirmed: met };
    confirmed.set(step, met ? excess : Math.min(excess, -MIN_GAIN));
    return confirmed.get(step);
  }

  /** The model under settings with an alternative to what it was observed with. */
  private async observe(
    observed: ObservedInt8,
    settings: Settings,
    alternative: Partial<TunableSettings>,
  ): Promise<ObservedInt8> {
    if ('errorFeedback' in alternative) return observed;
    const known = 'calibrationMethod' in alternative ? observed.calibratedBy?.(settings) : undefined;
    return known ?? ((await this.prepare(settings)) as ObservedInt8);
  }

  /**
   * Tries what costs nothing when the model runs.
   *
   * @param all whether to go on where the target is met
   */
  async free(observed: ObservedInt8, all = false): Promise<void> {
    let prepared = { observed, settings: this.settings };
    for (const alternative of FREE) {
      if (this.best.met && !all) return;
      if (!this.open.some((name) => name in alternative)) continue;
      const { model, provenance } = prepared.observed;
      if ('errorFeedback' in alternative) {
        const macs = feedbackMacs(model, provenance.samples);
        if (macs === 0 || macs > MAX_FEEDBACK_MACS) continue;
      }
      const settings = { ...prepared.settings, ...alternative };
      const next = await this.observe(prepared.observed, settings, alternative);
      const decision = await decideInt8(next, settings);
      const trial = await this.try(Object.keys(alternative)[0], decision, { alternative });
      const better = trial.excess >= this.best.excess + MIN_GAIN || (trial.met && !this.best.met);
      if (!better) continue;
      this.keep(trial);
      prepared = { observed: next, settings };
    }
  }
}
