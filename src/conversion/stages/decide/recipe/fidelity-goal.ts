/** The goal of recipes: every output as near to the float model's as a target says, sample by sample. */
import { copiesOf } from '../../../../evaluation/held-back';
import { Judge, type Judgement } from '../../../../evaluation/judge';
import type { Graph } from '../../../../graph/ir';
import { firstSamples, type LabelledSource } from '../../../../graph/samples';
import { floatAnyway } from '../../../../passes/quantize/plan/plan';
import type { Settings } from '../../../settings';
import type { ObservedInt8 } from '../../../stage-results';
import type { Goal, Verdict } from './goal';
import { excess, excessOf, type FidelityTarget, reaches, UNSEEN, worstOf } from './target';

/** Samples of the calibration data that a model is confirmed on. */
const CONFIRMED_ON = 16;

function verdictOf(judgement: Judgement, target: FidelityTarget, margins?: typeof UNSEEN): Verdict {
  const { outputs, milliseconds } = judgement;
  const worst = worstOf(judgement, target);
  const wanting = outputs.filter((each) => excessOf(each, target) < 0);
  return {
    met: reaches(judgement, target, margins),
    excess: excess(judgement, target, margins),
    ...(worst && { worst: { name: worst.part ?? worst.output, signalToNoise: worst.whole.median } }),
    ...(milliseconds !== undefined && { milliseconds }),
    short: new Set((wanting.length > 0 ? wanting : outputs).map(({ output }) => output)),
  };
}

export class FidelityGoal implements Goal {
  readonly required = false;
  private others: Judge | undefined;

  private constructor(
    readonly judge: Judge,
    private readonly target: FidelityTarget,
    private readonly makeOthers: () => Promise<Judge>,
  ) {}

  /** @param observed whose samples to check on are judged */
  static async of(
    { model, checkSamples }: ObservedInt8,
    target: FidelityTarget,
    { data, signal }: Settings,
  ): Promise<FidelityGoal> {
    const float = floatAnyway(model.plan);
    const judgeOf = (samples: Judge['samples']) =>
      Judge.of(model.source, samples, (node) => float.has(node), signal);
    const makeOthers = async () => {
      const seen = await copiesOf((inputs) => firstSamples(data!(inputs), CONFIRMED_ON), model.source.inputs);
      return judgeOf(seen);
    };
    return new FidelityGoal(await judgeOf(checkSamples.samples), target, makeOthers);
  }

  get source(): LabelledSource {
    const { samples } = this.judge;
    return async function* () {
      for (const sample of samples) yield { sample };
    };
  }

  judgedOf(graph: Graph): Graph {
    return this.judge.judgedOf(graph);
  }

  async measure(graph: Graph, signal?: AbortSignal): Promise<Verdict> {
    return verdictOf(await this.judge.measure(graph, signal), this.target);
  }

  /** On samples of the calibration data: what was chosen for the samples above is worse on others. */
  async confirm(graph: Graph, signal?: AbortSignal): Promise<Verdict> {
    this.others ??= await this.makeOthers();
    return verdictOf(await this.others.measure(graph, signal), this.target, UNSEEN);
  }
}
