/** What a search is after: how models are measured, and what is enough. */
import type { AccuracyFigures } from '../../../../evaluation/validation';
import type { Graph } from '../../../../graph/ir';
import type { LabelledSource } from '../../../../graph/samples';

export interface Verdict {
  readonly met: boolean;
  /** Above the target, in dB; negative where the model falls short of it. */
  readonly excess: number;
  /** The output that is worst, or the part of one, and its signal-to-noise of the median sample, in dB. */
  readonly worst?: { readonly name: string; readonly signalToNoise: number };
  /** Names of the outputs that layers are ranked by. */
  readonly short: ReadonlySet<string>;
  readonly figures?: AccuracyFigures;
  /** That a prediction took while the model was measured, the median. */
  readonly milliseconds?: number;
}

export interface Goal {
  /** What layers can be measured on one by one. */
  readonly source: LabelledSource;
  /** A model that falls short of it is no result. */
  readonly required: boolean;
  /** A graph with what is judged for outputs. */
  judgedOf(graph: Graph): Graph;
  measure(graph: Graph, signal?: AbortSignal): Promise<Verdict>;
  /** The same on samples that no search has seen. */
  confirm?(graph: Graph, signal?: AbortSignal): Promise<Verdict>;
}
