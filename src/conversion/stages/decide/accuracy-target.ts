/**
 * The strategy of accuracy targets: gives higher precision to as few layers as bring a model to its target.
 *
 * Each layer's noise is measured alone. Layers get dynamic activations in the order of their noise per cost in time,
 * as many as the target needs, a number found by doubling and halving; then the costly ones of them return to INT8 where
 * the target is met without. If dynamic activations are not enough, int16 ones are tried in the same way, and then the
 * noisiest layers are left in float; each of them, the least noisy first, is quantized again if the target is met without
 * it. Every verdict is that of the whole converted model on the validation data.
 *
 * @see NNCF, quantize_with_accuracy_control (rank, then revert until the drop is small enough)
 */
import { LowbitError } from '../../../base/errors';
import { type LayerSensitivity, measureSensitivity } from '../../../evaluation/sensitivity';
import { type AccuracyFigures, Validation } from '../../../evaluation/validation';
import type { Graph } from '../../../graph/ir';
import type { LabelledSource } from '../../../graph/samples';
import type { WeightOptions } from '../../../passes/quantize/lower/weight-options';
import type { ActivationPrecision } from '../../../passes/quantize/match/quantizable';
import type { QuantizationPlan } from '../../../passes/quantize/plan/plan';
import { quantizeGraph } from '../../../passes/quantize/quantize-graph';
import type { Observations } from '../../../quantization/observations';
import { importBackend, withBackend } from '../../../tfjs/backends';
import type { AccuracyReport, Precision } from '../../report-types';
import type { AccuracyTarget } from '../../settings';
import { planWithPrecisions, timeOfLayers } from './layer-precisions';

const DEFAULT_SAMPLES = 128;

export interface AccuracyTargetOptions extends WeightOptions {
  /** Layers that have int16 or dynamic activations whatever the target. */
  precisions?: ReadonlyMap<string, ActivationPrecision>;
  /** How many validation samples to use at most. Default 128. */
  samples?: number;
  /** Called with the number of models measured. */
  onTrial?(trials: number): void;
  signal?: AbortSignal;
}

function meets({ maxDrop, minSignalToNoise }: AccuracyTarget, figures: AccuracyFigures): boolean {
  const { top1Drop, signalToNoise } = figures;
  return (
    (maxDrop === undefined || top1Drop! <= maxDrop) &&
    (minSignalToNoise === undefined || signalToNoise >= minSignalToNoise)
  );
}

function describe({ top1Drop, signalToNoise }: AccuracyFigures): string {
  const drop = top1Drop === undefined ? '' : `${top1Drop.toFixed(2)} points of top-1 lost, `;
  return `${drop}${signalToNoise.toFixed(1)} dB`;
}

interface Trial {
  readonly plan: QuantizationPlan;
  readonly figures: AccuracyFigures;
  readonly met: boolean;
}

/** Plans and measures the model with some layers in higher precision; the same layers are measured once. */
class Trials {
  count = 0;
  private readonly known = new Map<string, Trial | undefined>();

  constructor(
    private readonly graph: Graph,
    private readonly plan: QuantizationPlan,
    private readonly observations: Observations,
    private readonly validation: Validation,
    private readonly target: AccuracyTarget,
    private readonly options: AccuracyTargetOptions,
  ) {}

  /** @returns undefined where nothing would be left to quantize */
  async with(kept: readonly string[], precision: Precision): Promise<Trial | undefined> {
    const key = [...(kept.length > 0 ? [precision] : []), ...kept.toSorted()].join('\0');
    if (!this.known.has(key)) this.known.set(key, await this.run(kept, precision));
    return this.known.get(key);
  }

  private async run(kept: readonly string[], precision: Precision): Promise<Trial | undefined> {
    const inFloat = precision === 'float';
    const precisions = new Map(this.options.precisions);
    if (!inFloat) for (const layer of kept) precisions.set(layer, precision);
    const plan = planWithPrecisions(this.graph, this.plan, precisions, inFloat ? kept : []);
    if (plan.regions.length === 0) return undefined;
    const { graph } = quantizeGraph(this.graph, plan, this.observations, this.options);
    const figures = await this.validation.measure(graph);
    this.count++;
    this.options.onTrial?.(this.count);
    return { plan, figures, met: meets(this.target, figures) };
  }
}

/** The smallest number of layers off the top of a ranking that meets the target, by doubling, then halving the gap. */
async function smallestCount(
  trials: Trials,
  ranking: readonly string[],
  precision: Precision,
): Promise<number | undefined> {
  const met = async (count: number) => (await trials.with(ranking.slice(0, count), precision))?.met;
  let failing = 0;
  let meeting: number | undefined;
  for (let count = 1; meeting === undefined; count *= 2) {
    const tried = Math.min(count, ranking.length);
    const verdict = await met(tried);
    if (verdict) meeting = tried;
    else if (verdict === undefined) break;
    else if (tried === ranking.length) return undefined;
    else failing = tried;
  }
  let most = meeting ?? ranking.length;
  while (most - failing > 1) {
    const middle = (failing + most) >> 1;
    const verdict = await met(middle);
    if (verdict === false) failing = middle;
    else most = middle;
    if (verdict) meeting = middle;
  }
  return meeting;
}

/**
 * Returns layers to INT8 that the target does not need in higher precision.
 *
 * @param order the layers that are tried, one after the other
 */
async function returnToInt8(
  trials: Trials,
  kept: readonly string[],
  order: readonly string[],
  precision: Precision,
): Promise<string[]> {
  let needed = [...kept];
  for (const layer of order) {
    if (needed.length === 1) break;
    const without = needed.filter((name) => name !== layer);
    if ((await trials.with(without, precision))?.met) needed = without;
  }
  return needed;
}

/** Layers that are tried in INT8 again: each costs a run over the validation data. */
const MAX_RETURNED = 16;

/** The fewest layers that reach the target in a precision, if any do; `layers` are the noisiest first. */
async function fewest(
  trials: Trials,
  layers: readonly LayerSensitivity[],
  costOf: (name: string) => number,
  precision: ActivationPrecision,
): Promise<string[] | undefined> {
  const worth = ({ name, signalToNoise }: LayerSensitivity) => 10 ** (-signalToNoise / 10) / costOf(name);
  const ranking = layers.toSorted((a, b) => worth(b) - worth(a)).map(({ name }) => name);
  const count = await smallestCount(trials, ranking, precision);
  if (count === undefined) return undefined;
  const kept = ranking.slice(0, count);
  const costly = kept.toSorted((a, b) => costOf(b) - costOf(a)).slice(0, MAX_RETURNED);
  return returnToInt8(trials, kept, costly, precision);
}

function checkLabels({ maxDrop }: AccuracyTarget, validation: Validation): void {
  if (maxDrop === undefined || validation.labelled) return;
  throw new LowbitError(
    'invalid-argument',
    'An accuracy target for top-1 needs samples with labels; give labels, or set minSignalToNoise instead of maxDrop.',
  );
}

function describeTarget({ maxDrop, minSignalToNoise }: AccuracyTarget): string {
  return [
    ...(maxDrop === undefined ? [] : [`at most ${maxDrop} points of top-1 lost`]),
    ...(minSignalToNoise === undefined ? [] : [`at least ${minSignalToNoise} dB`]),
  ].join(' and ');
}

/**
 * Finds the layers that need higher precision.
 *
 * @param graph the optimized float graph
 * @param plan everything in INT8 that can be
 * @param source validation data, with labels for a target for top-1
 * @returns the plan that meets the target, and how it was found
 * @throws LowbitError 'accuracy' with the figures, if nothing that leaves a layer in INT8 meets the target;
 *   'invalid-argument' for data without the labels that the target needs; 'cancelled' on abort
 */
export async function meetAccuracyTarget(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  source: LabelledSource,
  target: AccuracyTarget,
  options: AccuracyTargetOptions = {},
): Promise<{ plan: QuantizationPlan; accuracy: AccuracyReport }> {
  const { samples = DEFAULT_SAMPLES, signal } = options;
  return withBackend(await importBackend(), async () => {
    const validation = await Validation.of(graph, source, samples, signal);
    checkLabels(target, validation);
    const trials = new Trials(graph, plan, observations, validation, target, options);
    const all = (await trials.with([], 'dynamic'))!;
    const report = (trial: Trial, kept: AccuracyReport['kept'], precision: Precision) => ({
      plan: trial.plan,
      accuracy: {
        samples: validation.samples,
        quantized: all.figures,
        converted: trial.figures,
        precision,
        kept,
        trials: trials.count,
      },
    });
    if (all.met) return report(all, [], 'dynamic');
    const { layers } = await measureSensitivity(graph, plan, observations, source, {
      weights: options,
      signal,
    });
    const ranking = layers.map(({ name }) => name);
    const chosen = async (names: readonly string[], precision: Precision) => {
      const kept = layers
        .filter(({ name }) => names.includes(name))
        .map(({ name, op, signalToNoise }) => ({ name, op, signalToNoise }));
      return report((await trials.with(names, precision))!, kept, precision);
    };
    for (const precision of ['dynamic', 'int16'] as const) {
      // Trying all layers first saves the search where no number of them is enough.
      if (!(await trials.with(ranking, precision))?.met) continue;
      const kept = await fewest(trials, layers, timeOfLayers(graph, plan), precision);
      if (kept !== undefined) return chosen(kept, precision);
    }
    const count = await smallestCount(trials, ranking, 'float');
    if (count === undefined) {
      throw new LowbitError(
        'accuracy',
        `No choice of layers to leave in float meets the target, ${describeTarget(target)}, with anything in INT8 left; ` +
          `with all of them in INT8: ${describe(all.figures)}. The costliest layer is '${ranking[0]}'. Give more or ` +
          'better calibration data, another calibration method, or a lower target.',
      );
    }
    const kept = ranking.slice(0, count);
    return chosen(await returnToInt8(trials, kept, kept.toReversed(), 'float'), 'float');
  });
}
