/** What a conversion is told, from its options and its configuration. */

import { type CalibrationMethod, DEFAULT_METHOD } from '../../calibration/observers/methods';
import type { Graph } from '../../graph/ir';
import type { ActivationPrecision } from '../../passes/quantize/match/quantizable';
import { layersOf } from '../../passes/quantize/plan/layers';
import type { QuantizationPlan } from '../../passes/quantize/plan/plan';
import {
  type Activations,
  blockOf,
  DEFAULT_GROUP,
  type Group,
  type LayerWeights,
  type RotateOption,
  type WeightsName,
} from '../../quantization/layer-weights';
import type { WeightRange } from '../../quantization/weight-range';
import { KEPT_FOR_ACCURACY } from '../accuracy-control';
import type { BiasCorrection } from '../correction/bias-correction';
import { type Config, checkConfig, type LayerConfig } from './config';
import { LayerRules } from './layer-rules';

/** What is decided layer by layer, and for the model as a whole. */
export interface SettingsOptions {
  /** What single layers get, and defaults for the options below. */
  config?: Config;
  /** Names or glob patterns of nodes that stay float. */
  skip?: readonly string[];
  /** How ranges follow from the observed values. Default `mse`. */
  calibrationMethod?: CalibrationMethod;
  /** With `percentile`: the share of values that either bound keeps, in percent. Default 99.99. */
  percentile?: number;
  /** How many samples to use at most. Default 128. */
  samples?: number;
  /** Brings the channels of a tensor to similar ranges by rescaling the layers around it. Default false. */
  equalize?: boolean;
  /** How the bounds of weights are chosen, channel by channel. Default `max`. */
  weightRange?: WeightRange;
  /**
   * What makes up for the shift that quantization gives to the mean of a layer's outputs: `fast` counts the rounding of
   * the layer's own weights; `sequential` also what the quantized layers before it do to its inputs, and runs the model
   * once a layer. Default `fast`.
   */
  biasCorrection?: BiasCorrection;
  /**
   * How weights are stored: in INT8, or in fewer bits where the engine can multiply by them, but for first, last and
   * depthwise layers, which only `config` asks for. Default `int8`.
   */
  weights?: WeightsName;
  /** Inputs that share a scale in low-bit formats: 32, 64, 128 or 256; 0: the whole row. Default 128. */
  group?: Group;
  /**
   * Spreads weights of low-bit layers evenly by a Hadamard transform of their inputs, in blocks of 64, 128 or 256 (true:
   * 128), where that lowers their error. Default false.
   */
  rotate?: RotateOption;
  /** Makes up for the error of each weight in those that are rounded after it, whatever its bits. Default false. */
  errorFeedback?: boolean;
  /** Mixes layers of 8, 4, 3 and 2 bits so that weights have at most this many on average, with the least error. */
  targetBits?: number;
  /**
   * What is between layers: INT8 codes, or `float32`: then only the weights of matrix products and of tables are
   * quantized, which makes a model small, and fast where reading its weights is what takes time. Default `int8`.
   */
  activations?: Activations;
  /**
   * Layers that get int16 activations and weights, which takes about twice the time of INT8: so many, those that cost the
   * most accuracy on the validation data, or those with these names or glob patterns of names. Default 0.
   */
  int16?: number | readonly string[];
  /**
   * Layers, by name or glob pattern of names, whose INT8 activations get their scale and zero point when the model runs, from
   * the values at hand: one for each channel of a depthwise convolution, each pixel of a 1x1 convolution, each row of a matrix
   * product, else each sample. What is between such layers is float32, which takes more time than INT8, and no value can be
   * out of range. A layer that `int16` names gets that instead.
   */
  dynamic?: readonly string[];
  /**
   * One native program for every region of quantized nodes; false: a kernel for every node, which is slower and shows
   * every intermediate. The results are the same. Default true.
   */
  regions?: boolean;
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
  /** Whether any layer is asked to get int16 or dynamic activations. */
  readonly requestsPrecision: boolean;
  private readonly rules: LayerRules;

  /**
   * Options go before the configuration, and `skip` before all of its layers.
   *
   * @throws LowbitError 'invalid-argument' for a configuration that is wrong
   */
  constructor({ config: given, skip = [], int16 = 0, dynamic = [], ...options }: SettingsOptions) {
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
    const atHand = checkConfig({ skip: [...dynamic] }, 'dynamic').skip ?? [];
    const last = checkConfig({ skip }, 'skip').skip ?? [];
    const layers = [
      ...(config.layers ?? []),
      ...atHand.map((match): LayerConfig => ({ match, activations: 'dynamic' })),
      ...wide.map((match): LayerConfig => ({ match, activations: 'int16' })),
      ...last.map((match): LayerConfig => ({ match, bits: 'float' })),
    ];
    const asks = ({ activations = 'int8' }: LayerConfig) => activations !== 'int8';
    this.requestsPrecision = this.costliestInt16 > 0 || layers.some(asks);
    this.rules = new LayerRules({ ...config, layers });
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

  /**
   * The layers of a plan that get int16 or dynamic activations, by name: as is said of that, or of a node fused into them,
   * where int16 goes before.
   */
  floatInOutLayers(graph: Graph, plan: QuantizationPlan): Map<string, ActivationPrecision> {
    const real = new Map<string, ActivationPrecision>();
    for (const { name, nodes } of layersOf(graph, plan)) {
      const said = new Set([...nodes].map((node) => this.rules.activationsOf(node)));
      const precision = (['int16', 'dynamic'] as const).find((each) => said.has(each));
      if (precision) real.set(name, precision);
    }
    return real;
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
