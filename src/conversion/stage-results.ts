/**
 * What the stages of a conversion hand to one another: read -> optimize -> observe -> decide -> lower -> check -> write.
 */
import type { CalibrationProvenance } from '../calibration/runner';
import type { CheckSamples } from '../evaluation/held-back';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph } from '../graph/ir';
import type { Change } from '../passes/pass';
import type { EncodedLayer } from '../passes/quantize/lower/encode-layer';
import type { WeightOptions } from '../passes/quantize/lower/weight-options';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import type { LowBitLayer } from '../passes/quantize/plan/low-bit-layers';
import type { QuantizationPlan } from '../passes/quantize/plan/plan';
import type { QuantizeOptions } from '../passes/quantize/quantize-graph';
import type { Weighted } from '../passes/weight-only/find';
import type { Rotation } from '../quantization/hadamard';
import type { LayerWeights } from '../quantization/layer-weights';
import type { Observations } from '../quantization/observations';
import type { AccuracyReport, BitAllocation, QuantizationReport, RecipeReport, Tuning } from './report-types';
import type { ConfiguredWeights, Settings } from './settings';

/** Read: a float model of files. */
export interface SourceModel {
  readonly graph: Graph;
  /** Model files on disk. */
  readonly bytes: number;
}

/** A graph with its plan, and how weights will be stored. */
export interface WeightPlan {
  /** The rewritten graph, with those rotations folded into weights that cost nothing. */
  readonly graph: Graph;
  /** Everything in INT8 that can be. */
  readonly plan: QuantizationPlan;
  /** Layers with low-bit weights, by node; for a mix of widths, those whose width is to be chosen. */
  readonly layers: ReadonlyMap<string, LowBitLayer>;
  /** Tables with low-bit rows, by node, and how they are stored. */
  readonly tables: ReadonlyMap<string, LayerWeights>;
  /** Layers and tables that are configured to be low-bit and stay in INT8, and why. */
  readonly kept: ReadonlyMap<string, string>;
  /** What rotates the inputs of layers in the program, by node. */
  readonly rotations: ReadonlyMap<string, Rotation>;
  /** Layers whose inputs come rotated. */
  readonly folded: ReadonlySet<string>;
  /** Nodes whose results are those of the float model, rotated. */
  readonly rotatedResults: ReadonlyMap<string, Rotation>;
}

/** Optimize, for INT8 activations. */
export interface Int8Model extends WeightPlan {
  readonly activations: 'int8';
  /** The float model as it was read. */
  readonly source: Graph;
  readonly changes: readonly Change[];
}

/** A product or a table, and how its weights will be stored. */
export interface WeightOnlyLayer {
  readonly weighted: Weighted;
  readonly configured: ConfiguredWeights;
  /** Why it is stored in INT8 though low-bit weights are configured. */
  readonly reason?: string;
  readonly rotation?: Rotation;
}

/** Optimize, for float32 activations: only weights are quantized. */
export interface WeightOnlyModel {
  readonly activations: 'float32';
  readonly graph: Graph;
  readonly changes: readonly Change[];
  readonly shapes: Shapes;
  readonly layers: ReadonlyMap<string, WeightOnlyLayer>;
  /** Nodes whose weights stay float, and why. */
  readonly float: ReadonlyMap<string, string>;
  /** Nodes of loops and branches, whose inputs cannot be observed. */
  readonly inside: ReadonlyMap<string, string>;
}

export type OptimizedModel = Int8Model | WeightOnlyModel;

/** Observe, for INT8 activations. */
export interface ObservedInt8 {
  readonly activations: 'int8';
  readonly model: Int8Model;
  readonly observations: Observations;
  readonly provenance: CalibrationProvenance;
  readonly checkSamples: CheckSamples;
  /**
   * The same under settings that differ in the method of calibration only, without another run of the float model;
   * undefined where that takes one.
   */
  calibratedBy?(settings: Settings): ObservedInt8 | undefined;
}

/** Observe, for float32 activations. */
export interface ObservedWeightOnly {
  readonly activations: 'float32';
  readonly model: WeightOnlyModel;
  /** Absent without data. */
  readonly observations?: Observations;
  readonly provenance: CalibrationProvenance;
  /** Absent without data. */
  readonly checkSamples?: CheckSamples;
}

export type ObservedModel = ObservedInt8 | ObservedWeightOnly;

/** The stages before `decide` under other settings, for strategies that compare settings. */
export type Prepare = (settings: Settings) => Promise<ObservedModel>;

/** Decide, for INT8 activations. */
export interface Int8Decision {
  readonly activations: 'int8';
  /** Those of the conversion, or with what `tune` chose. */
  readonly settings: Settings;
  readonly model: Int8Model;
  /** With the means for which biases are corrected. */
  readonly observations: Observations;
  readonly provenance: CalibrationProvenance;
  readonly checkSamples: CheckSamples;
  readonly weights: QuantizeOptions & Required<Pick<WeightOptions, 'lowBit'>>;
  /** The model's plan with the layers below in their precisions, or in float. */
  readonly plan: QuantizationPlan;
  /** Layers with int16 or dynamic activations, by name. */
  readonly precisions: ReadonlyMap<string, ActivationPrecision>;
  /** Layers that error feedback was left out for, where it is on. */
  readonly withoutFeedback?: readonly string[];
  readonly accuracy?: AccuracyReport;
  readonly allocation?: BitAllocation;
  readonly tuning?: Tuning;
  readonly recipe?: RecipeReport;
}

/** Decide, for float32 activations. */
export interface WeightOnlyDecision {
  readonly activations: 'float32';
  readonly settings: Settings;
  readonly model: WeightOnlyModel;
  readonly provenance: CalibrationProvenance;
  readonly checkSamples?: CheckSamples;
  /** Low-bit weights, by node. */
  readonly lowBit: ReadonlyMap<string, EncodedLayer>;
}

export type Decision = Int8Decision | WeightOnlyDecision;

/** Lower: the converted model in memory. */
export interface ConvertedModel extends QuantizationReport {
  readonly graph: Graph;
}
