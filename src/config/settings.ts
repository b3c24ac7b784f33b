/** What a conversion is told, from its options and its configuration. */
import type { BiasCorrection } from '../calibration/correction/bias-correction';
import { type CalibrationMethod, DEFAULT_METHOD } from '../calibration/observers/methods';
import { KEPT_FOR_ACCURACY } from '../evaluation/accuracy-control';
import type { Graph } from '../graph/ir';
import { layersOf } from '../passes/quantize/layers';
import type { QuantizationPlan } from '../passes/quantize/plan';
import {
  type Activations,
  blockOf,
  DEFAULT_GROUP,
  type Group,
  type LayerWeights,
  type RotateOption,
  type WeightsName,
} from '../quantization/layer-weights';
import type { WeightRange } from '../quantization/weight-range';
import { type Config, checkConfig, type LayerConfig } from './config';
import { LayerRules } from './layer-rules';

export interface SettingsOptions {
  config?: Config;
  skip?: readonly string[];
  calibrationMethod?: CalibrationMethod;
  percentile?: number;
  samples?: number;
  equalize?: boolean;
  weightRange?: WeightRange;
  biasCorrection?: BiasCorrection;
  regions?: boolean;
  weights?: WeightsName;
  group?: Group;
  rotate?: RotateOption;
  errorFeedback?: boolean;
  targetBits?: number;
  activations?: Activations;
  int16?: number | readonly string[];
}

/** What a layer is asked to store its weights as, and whether a pattern asks for it. */
export interface AskedWeights extends LayerWeights {
  readonly byPattern: boolean;
  readonly rotateByPattern: boolean;
}

/** Why a node stays float that was told to. */
export const ASKED = 'left in float as asked';

/** Names of the nodes that compute, and of the model's inputs: what a pattern may mean. */
function namesIn(graph: Graph): string[] {
  return [...graph.nodes.values()].filter(({ op }) => op !== 'Const').map(({ name }) => name);
}

export class Settings {
  readonly method: CalibrationMethod;
  readonly percentile: number;
  /** As asked for, if it was. */
  readonly samples: number | undefined;
  readonly equalize: boolean;
  readonly weightRange: WeightRange;
  readonly biasCorrection: BiasCorrection;
  readonly regions: boolean;
  readonly errorFeedback: boolean;
  /** Average bits of a weight, if a mix of widths is asked for. */
  readonly targetBits: number | undefined;
  readonly activations: Activations;
  /** What layers are asked to store their weights as where no pattern says otherwise. */
  readonly weights: LayerWeights;
  /** How many of the costliest layers get int16 activations, beside those that are named. */
  readonly costliestInt16: number;
  private readonly rules: LayerRules;

  /**
   * Options go before the configuration, and `skip` before all of its layers.
   *
   * @throws LowbitError 'invalid-argument' for a configuration that is wrong
   */
  constructor({ config: given, skip = [], int16 = 0, ...options }: SettingsOptions) {
    const { calibration = {}, regions, ...config } = given ? checkConfig(given, 'config') : ({} as Config);
    this.method = options.calibrationMethod ?? calibration.method ?? DEFAULT_METHOD;
    this.percentile = options.percentile ?? calibration.percentile ?? 99.99;
    this.samples = options.samples ?? calibration.samples;
    this.equalize = options.equalize ?? config.equalize ?? false;
    this.weightRange = options.weightRange ?? config.weightRange ?? 'max';
    this.biasCorrection = options.biasCorrection ?? config.biasCorrection ?? 'fast';
    this.regions = options.regions ?? regions ?? true;
    this.errorFeedback = options.errorFeedback ?? config.errorFeedback ?? false;
    this.targetBits = options.targetBits ?? config.targetBits;
    this.activations = options.activations ?? config.activations ?? 'int8';
    this.weights = {
      format: options.weights ?? config.weights ?? 'int8',
      group: options.group ?? config.group ?? DEFAULT_GROUP,
      block: blockOf(options.rotate ?? config.rotate),
    };
    this.costliestInt16 = typeof int16 === 'number' ? int16 : 0;
    const wide = checkConfig({ skip: typeof int16 === 'number' ? [] : int16 }, 'int16').skip ?? [];
    const last = checkConfig({ skip }, 'skip').skip ?? [];
    const layers = [
      ...wide.map((match): LayerConfig => ({ match, activations: 'int16' })),
      ...last.map((match): LayerConfig => ({ match, bits: 'float' })),
    ];
    this.rules = new LayerRules({ ...config, layers: [...(config.layers ?? []), ...layers] });
  }

  /** Nodes to leave in float, with the reason, for `planQuantization`. */
  float(graph: Graph): Map<string, string> {
    const names = namesIn(graph).filter((name) => this.rules.weightsOf(name) === 'float');
    return new Map(names.map((name) => [name, ASKED]));
  }

  /** How the weights of a node are to be stored. */
  weightsOf(name: string): AskedWeights {
    const { weights, rules } = this;
    const own = rules.weightsOf(name);
    const rotate = rules.rotateOf(name);
    return {
      format: own === undefined || own === 'float' ? weights.format : own,
      group: rules.groupOf(name) ?? weights.group,
      block: rotate === undefined ? weights.block : blockOf(rotate),
      byPattern: own !== undefined && own !== 'float',
      rotateByPattern: rotate !== undefined,
    };
  }

  /** Names of the layers of a plan that get int16 activations: by their own name, or that of a node fused into them. */
  int16Layers(graph: Graph, plan: QuantizationPlan): string[] {
    const wide = (name: string) => this.rules.activationsOf(name) === 'int16';
    return layersOf(graph, plan)
      .filter(({ nodes }) => [...nodes].some(wide))
      .map(({ name }) => name);
  }

  /** The method for each node's result: the node's own, or that of the op that stores it. */
  methods(plan: QuantizationPlan): (node: string) => CalibrationMethod {
    const storedBy = new Map(
      plan.regions.flatMap(({ steps }) =>
        steps.flatMap((step) =>
          step.kind === 'op' ? [[step.store.result.node, step.node.name] as const] : [],
        ),
      ),
    );
    return (node) =>
      this.rules.methodOf(node) ?? this.rules.methodOf(storedBy.get(node) ?? node) ?? this.method;
  }

  /** A warning for every pattern that matches nothing. */
  warnings(graph: Graph): string[] {
    return this.rules.unmatched(namesIn(graph)).map((pattern) => {
      const hint = pattern.endsWith('/*') ? `; '${pattern}*' also matches what lies deeper` : '';
      return `The pattern '${pattern}' matches no node of the optimized graph${hint}.`;
    });
  }

  /**
   * A configuration that says all of this, layer by layer: reading it back gives the same model.
   *
   * @param observed nodes whose results have a range
   * @param weightsOf what it says of the weights of a quantized node
   */
  effective(
    plan: QuantizationPlan,
    observed: readonly string[],
    samples: number,
    weightsOf: (node: string) => Partial<LayerConfig>,
  ): Config {
    const methodOf = this.methods(plan);
    const ranged = new Set(observed);
    const range = (node: string) => (ranged.has(node) ? { calibration: methodOf(node) } : {});
    const quantized = plan.regions.flatMap(({ nodes }) => nodes.map(({ name }) => name));
    const chosen = [...plan.float].filter(([, reason]) => reason === ASKED || reason === KEPT_FOR_ACCURACY);
    const asked = chosen.map(([name]) => name);
    const inputs = observed.filter((name) => !quantized.includes(name) && !asked.includes(name));
    return {
      version: 1,
      calibration: { method: this.method, percentile: this.percentile, samples },
      equalize: this.equalize,
      weightRange: this.weightRange,
      biasCorrection: this.biasCorrection,
      regions: this.regions,
      ...(this.weights.format !== 'int8' && { weights: this.weights.format }),
      ...(this.errorFeedback && { errorFeedback: true }),
      layers: [
        ...inputs.map((match) => ({ match, ...range(match) })),
        ...quantized.map((match) => ({ match, ...weightsOf(match), ...range(match) })),
        ...asked.map((match) => ({ match, bits: 'float' as const, ...range(match) })),
      ],
    };
  }
}
