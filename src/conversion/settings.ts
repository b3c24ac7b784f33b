/** The resolved settings of a conversion: every default applied, options and configuration merged. */
import type { CalibrationMethod } from '../calibration/observers/methods';
import type { Graph } from '../graph/ir';
import type { LabelledSource, SampleSource } from '../graph/samples';
import type { ExpertFormat } from '../moe/store/expert-bytes';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import { layersOf } from '../passes/quantize/plan/layers';
import type { QuantizationPlan } from '../passes/quantize/plan/plan';
import type { BiasCorrection } from '../quantization/bias-correction';
import { type Activations, blockOf, type LayerWeights } from '../quantization/layer-weights';
import type { WeightRange } from '../quantization/weight-range';
import type { LayerRules } from './config/layer-rules';
import { FLOAT_BY_CONFIGURATION } from './float-reasons';
import type { ReportProgress } from './progress';
import type { RecipeName } from './recipes';
import type { FidelityTarget } from './stages/decide/recipe/target';

/** What a converted model has to reach; both, where both are given. */
export interface AccuracyTarget {
  /** Points of top-1 accuracy that may be lost at most; needs labels. */
  readonly maxDrop?: number;
  /** The lowest signal-to-noise ratio allowed at an output, in dB. */
  readonly minSignalToNoise?: number;
}

/** Settings that `tune` may choose. */
export const TUNABLE = ['calibrationMethod', 'equalize', 'errorFeedback'] as const;

export type TunableSettings = Pick<Settings, (typeof TUNABLE)[number]>;

export interface RecipeSettings {
  readonly name: RecipeName;
  readonly target: FidelityTarget;
  /** Settings that neither the options nor the configuration fix. */
  readonly open: readonly (typeof TUNABLE)[number][];
  /** When the search has to be over, by `performance.now()`. */
  readonly deadline: number;
}

export interface TuneSettings {
  /** Settings that neither the options nor the configuration fix. */
  readonly open: readonly (typeof TUNABLE)[number][];
}

export interface Settings {
  readonly activations: Activations;
  /** Calibration data; undefined where only weights are quantized and no data weighs their errors. */
  readonly data?: SampleSource;
  /** Samples that are held out of the calibration data to judge the model on. */
  readonly heldOut?: SampleSource;
  /** The calibration data are random numbers. */
  readonly randomData: boolean;
  /** How many calibration samples to use at most. */
  readonly samples: number;
  /** Whether that number was requested: fewer samples then give a warning. */
  readonly samplesRequested: boolean;
  /** Default: the calibration data. */
  readonly validation?: LabelledSource;
  readonly validationSamples: number;
  readonly calibrationMethod: CalibrationMethod;
  readonly percentile: number;
  readonly equalize: boolean;
  readonly weightRange: WeightRange;
  readonly biasCorrection: BiasCorrection;
  readonly regions: boolean;
  readonly errorFeedback: boolean;
  /** Average bits of a weight, for a mix of widths. */
  readonly targetBits?: number;
  /** How weights are stored where no rule decides. */
  readonly weights: LayerWeights;
  /** How many of the layers that cost the most accuracy get int16 activations, beside those that rules name. */
  readonly costliestInt16: number;
  readonly accuracyTarget?: AccuracyTarget;
  readonly tune?: TuneSettings;
  /** Absent for the recipe `fast`, and where other settings decide. */
  readonly recipe?: RecipeSettings;
  /** Settings of single layers. */
  readonly rules: LayerRules;
  /** What was set and does nothing beside the other settings, in sentences. */
  readonly idle: readonly string[];
  readonly report: ReportProgress;
  readonly signal?: AbortSignal;
}

/** How the experts of a mixture are packed. */
export interface ExpertPacking {
  /** Precisions of each expert; the first is read by default. */
  readonly formats: readonly ExpertFormat[];
  readonly budget: string;
  /** The options say how: a model without experts then gives a warning. */
  readonly requested: boolean;
}

/** Where a converted model goes. */
export interface Destination {
  readonly folder: string;
  readonly overwrite: boolean;
  readonly experts: ExpertPacking;
}

/** How the weights of a layer are to be stored, and whether a rule names the layer. */
export interface ConfiguredWeights extends LayerWeights {
  readonly byPattern: boolean;
  readonly rotateByPattern: boolean;
}

/** Names of the nodes that compute, and of the model's inputs: what a pattern may match. */
export function namesIn(graph: Graph): string[] {
  return [...graph.nodes.values()].filter(({ op }) => op !== 'Const').map(({ name }) => name);
}

/** Nodes to leave in float, with the reason, for `planQuantization`. */
export function floatNodes({ rules }: Pick<Settings, 'rules'>, graph: Graph): Map<string, string> {
  const names = namesIn(graph).filter((name) => rules.weightsOf(name) === 'float');
  return new Map(names.map((name) => [name, FLOAT_BY_CONFIGURATION]));
}

export function weightsOf(
  { weights, rules }: Pick<Settings, 'weights' | 'rules'>,
  node: string,
): ConfiguredWeights {
  const own = rules.weightsOf(node);
  const rotate = rules.rotateOf(node);
  return {
    format: own === undefined || own === 'float' ? weights.format : own,
    group: rules.groupOf(node) ?? weights.group,
    block: rotate === undefined ? weights.block : blockOf(rotate),
    byPattern: own !== undefined && own !== 'float',
    rotateByPattern: rotate !== undefined,
  };
}

/**
 * The layers of a plan with int16 or dynamic activations, by name. A rule for a node that is fused into a layer counts
 * for the layer; int16 overrides dynamic.
 */
export function configuredPrecisions(
  { rules }: Pick<Settings, 'rules'>,
  graph: Graph,
  plan: QuantizationPlan,
): Map<string, ActivationPrecision> {
  const precisions = new Map<string, ActivationPrecision>();
  for (const { name, nodes } of layersOf(graph, plan)) {
    const configured = new Set([...nodes].map((node) => rules.activationsOf(node)));
    const precision = (['int16', 'dynamic'] as const).find((each) => configured.has(each));
    if (precision) precisions.set(name, precision);
  }
  return precisions;
}

/** The calibration method of each node's result: the node's own, or that of the op that stores it. */
export function calibrationMethods(
  { rules, calibrationMethod }: Pick<Settings, 'rules' | 'calibrationMethod'>,
  plan: QuantizationPlan,
): (node: string) => CalibrationMethod {
  const storedBy = new Map(
    plan.regions.flatMap(({ steps }) =>
      steps.flatMap((step) =>
        step.kind === 'op' ? [[step.store.result.node, step.node.name] as const] : [],
      ),
    ),
  );
  return (node) => rules.methodOf(node) ?? rules.methodOf(storedBy.get(node) ?? node) ?? calibrationMethod;
}

/** A warning for every pattern that matches nothing. */
export function patternWarnings({ rules }: Pick<Settings, 'rules'>, graph: Graph): string[] {
  return rules.unmatched(namesIn(graph)).map((pattern) => {
    const hint = pattern.endsWith('/*') ? `; '${pattern}*' also matches what lies deeper` : '';
    return `The pattern '${pattern}' matches no node of the optimized graph${hint}.`;
  });
}
