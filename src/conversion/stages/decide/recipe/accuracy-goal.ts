/** The goal of accuracy targets and of tuning: figures over all validation data. */
import { LowbitError } from '../../../../base/errors';
import { Validation } from '../../../../evaluation/validation';
import type { Graph } from '../../../../graph/ir';
import type { LabelledSource } from '../../../../graph/samples';
import { importBackend, withBackend } from '../../../../tfjs/backends';
import type { AccuracyTarget } from '../../../settings';
import type { Goal, Verdict } from './goal';

export interface AccuracyGoalOptions {
  /** Validation data, with labels for a target for top-1. */
  readonly source: LabelledSource;
  /** How many samples of it are used at most. */
  readonly samples: number;
  /** Without one, no model is good enough. */
  readonly target?: AccuracyTarget;
  readonly signal?: AbortSignal;
}

function checkLabels({ maxDrop }: AccuracyTarget, { labelled }: Validation): void {
  if (maxDrop === undefined || labelled) return;
  throw new LowbitError(
    'invalid-argument',
    'An accuracy target for top-1 needs samples with labels; give labels, or set minSignalToNoise instead of maxDrop.',
  );
}

export class AccuracyGoal implements Goal {
  readonly required = true;
  readonly source: LabelledSource;

  private constructor(
    private readonly validation: Validation,
    private readonly outputs: readonly string[],
    private readonly options: AccuracyGoalOptions,
  ) {
    this.source = options.source;
  }

  /**
   * @param graph the float model
   * @throws LowbitError 'invalid-argument' for data without the labels that the target needs
   */
  static async of(graph: Graph, options: AccuracyGoalOptions): Promise<AccuracyGoal> {
    const { source, samples, target, signal } = options;
    const validation = await withBackend(await importBackend(), () =>
      Validation.of(graph, source, samples, signal),
    );
    if (target) checkLabels(target, validation);
    return new AccuracyGoal(
      validation,
      graph.outputs.map(({ name }) => name),
      options,
    );
  }

  get samples(): number {
    return this.validation.samples;
  }

  judgedOf(graph: Graph): Graph {
    return graph;
  }

  async measure(graph: Graph): Promise<Verdict> {
    const figures = await withBackend(await importBackend(), () => this.validation.measure(graph));
    const { maxDrop, minSignalToNoise } = this.options.target ?? {};
    const { top1Drop, signalToNoise } = figures;
    return {
      met:
        this.options.target !== undefined &&
        (maxDrop === undefined || top1Drop! <= maxDrop) &&
        (minSignalToNoise === undefined || signalToNoise >= minSignalToNoise),
      excess: signalToNoise - (minSignalToNoise ?? 0),
      short: new Set(this.outputs),
      figures,
    };
  }
}
