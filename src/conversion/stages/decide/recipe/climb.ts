/** The ladder of one model: its trials, and the best of them. */
import { yieldToCancel } from '../../../../base/cancelled';
import type { Judge, Judgement } from '../../../../evaluation/judge';
import type { Sample } from '../../../../graph/ir';
import { quantizeGraph } from '../../../../passes/quantize/quantize-graph';
import type { RecipeStep } from '../../../report-types';
import type { RecipeSettings, Settings, TunableSettings } from '../../../settings';
import type { Int8Decision, ObservedInt8, Prepare } from '../../../stage-results';
import { decideInt8 } from '../int8';
import { feedbackMacs } from '../round-weights';
import { excess, reaches, worstOf } from './target';

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

export interface Trial {
  /** Its place among the steps. */
  readonly step: number;
  readonly decision: Int8Decision;
  readonly judgement: Judgement;
  /** In dB above the target. */
  readonly excess: number;
  readonly met: boolean;
}

/** Runs trials, and remembers the best. */
export class Climb {
  readonly steps: RecipeStep[] = [];
  /** What the model is converted with if nothing better comes. */
  best!: Trial;
  /** Enough where the target cannot be reached, in dB above it. */
  goal = 0;

  constructor(
    private readonly judge: Judge,
    readonly recipe: RecipeSettings,
    /** Their signal is also that of the time budget. */
    readonly settings: Settings,
    private readonly prepare: Prepare,
  ) {}

  get samples(): readonly Sample[] {
    return this.judge.samples;
  }

  isEnough({ met, excess: above }: Trial): boolean {
    return met || above >= this.goal;
  }

  async try(name: string, decision: Int8Decision): Promise<Trial> {
    const start = performance.now();
    const { graph } = quantizeGraph(
      decision.model.graph,
      decision.plan,
      decision.observations,
      decision.weights,
    );
    const first = this.steps.length === 0;
    if (!first) await yieldToCancel(this.settings.signal);
    const judgement = await this.judge.measure(graph, first ? undefined : this.settings.signal);
    const { target } = this.recipe;
    const above = excess(judgement, target);
    const trial: Trial = {
      step: this.steps.length,
      decision,
      judgement,
      excess: above,
      met: reaches(judgement, target),
    };
    const worst = worstOf(judgement, target);
    this.steps.push({
      name,
      ...(worst && { worst: worst.part ?? worst.output, signalToNoise: worst.whole.median }),
      excess: above,
      met: trial.met,
      seconds: (performance.now() - start) / 1000,
    });
    this.settings.report('refine', this.steps.length, this.steps.length);
    return trial;
  }

  /** Tries what costs nothing when the model runs. */
  async free(observed: ObservedInt8): Promise<void> {
    let prepared = { observed, settings: this.settings };
    for (const alternative of FREE) {
      if (this.best.met) return;
      if (!this.recipe.open.some((name) => name in alternative)) continue;
      const { model, provenance } = prepared.observed;
      if ('errorFeedback' in alternative) {
        const macs = feedbackMacs(model, provenance.samples);
        if (macs === 0 || macs > MAX_FEEDBACK_MACS) continue;
      }
      const settings = { ...prepared.settings, ...alternative };
      const again = !('errorFeedback' in alternative);
      const next = again ? ((await this.prepare(settings)) as ObservedInt8) : prepared.observed;
      const trial = await this.try(Object.keys(alternative)[0], await decideInt8(next, settings));
      if (trial.excess < this.best.excess + MIN_GAIN && !trial.met) continue;
      this.best = trial;
      prepared = { observed: next, settings };
    }
  }
}
