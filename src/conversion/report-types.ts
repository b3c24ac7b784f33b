/** The report of a conversion. */
import type { CalibrationProvenance } from '../calibration/runner';
import type { Fidelity } from '../evaluation/fidelity';
import type { ProductCounts } from '../evaluation/products';
import type { LayerSensitivity } from '../evaluation/sensitivity';
import type { AccuracyFigures } from '../evaluation/validation';
import type { Change } from '../passes/pass';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import type { Rotation } from '../quantization/hadamard';
import type { WeightBits, WeightsName } from '../quantization/layer-weights';
import type { Config } from './config/config';
import type { RecipeName } from './recipes';
import type { TunableSettings } from './settings';
import type { FidelityTarget } from './stages/decide/recipe/target';

/** How the weights of a layer are stored. */
export interface WeightRecord {
  readonly weights: WeightsName;
  /** Stored bits of a weight, scales counted. */
  readonly bitsPerWeight: number;
  /** Inputs that share a scale, of low-bit weights; 0: all. */
  readonly group?: number;
  /** What rotates the layer's input: an op before it, or the weights of the layers that compute it. */
  readonly rotation?: 'computed' | 'folded';
  /** Why the weights stay in INT8 though low-bit ones are configured. */
  readonly weightsReason?: string;
  /** The node that stores these weights, where it is another one. */
  readonly storedBy?: string;
}

/** A node of the optimized graph and where it runs. */
export interface NodeRecord extends Partial<WeightRecord> {
  readonly name: string;
  readonly op: string;
  /** For a node with others fused into it, an activation for example: the node whose result it stores. */
  readonly output?: string;
  /** For a node with weights in INT8: signal-to-noise of the quantized weights, in dB. */
  readonly weightSignalToNoise?: number;
  /** For a float-in/float-out node: the precision of the activations that it, or the layer it serves, multiplies. */
  readonly activationPrecision?: ActivationPrecision;
  /** Why a node stays float. */
  readonly reason?: string;
  /** Its result is that of the float model times this rotation. */
  readonly rotatedResult?: Rotation;
}

export interface NodeRecords {
  readonly quantized: readonly NodeRecord[];
  readonly float: readonly NodeRecord[];
}

/** Multiply-accumulates for one sample, of weights and of two activations. */
export interface MacCounts extends ProductCounts {
  readonly total: number;
  readonly int8: number;
  readonly int16: number;
  /** In INT8, of all. */
  readonly percent: number;
  /** In INT8 or int16, of all. */
  readonly integerPercent: number;
}

export interface TuningTrial {
  /** Settings tried on top of those kept before. */
  readonly options: Partial<TunableSettings>;
  /** The lowest signal-to-noise at an output of the float model, in dB. */
  readonly signalToNoise: number;
  readonly kept: boolean;
}

export interface Tuning {
  /** Samples that the trials were measured on. */
  readonly samples: number;
  /** The first is the model without any of the alternatives. */
  readonly trials: readonly TuningTrial[];
}

/** dynamic: int8 activations scaled when the model runs; int16: int16 activations and weights; float: not quantized. */
export type Precision = ActivationPrecision | 'float';

/** A model that was tried. */
export interface RecipeStep {
  /** `static`, a setting that is added to the step before, or how many layers have which precision. */
  readonly name: string;
  /** The model is converted so. */
  readonly chosen?: true;
  /** The output that is worst, or the part of one. */
  readonly worst?: string;
  /** There, of the median sample, in dB. */
  readonly signalToNoise?: number;
  /** Of the worst output above the target, in dB. */
  readonly excess: number;
  readonly met: boolean;
  /** Whether it is also met on samples that the search has not seen; absent where that was not tried. */
  readonly confirmed?: boolean;
  /** That a prediction took while the trial was measured, the median. */
  readonly milliseconds?: number;
  /** That the trial took. */
  readonly seconds: number;
}

/** How a recipe was found. */
export interface RecipeReport {
  readonly name: RecipeName;
  /** What is to be reached. */
  readonly target: FidelityTarget;
  /** Samples that were judged. */
  readonly samples: number;
  /** Whether the target is reached. */
  readonly met: boolean;
  /** The time budget ran out. */
  readonly late: boolean;
  readonly steps: readonly RecipeStep[];
  /** By output that comes of a selection, of the best scores for example: the tensors that are judged in its place. */
  readonly selections?: Readonly<Record<string, readonly string[]>>;
}

/** How an accuracy target was met. */
export interface AccuracyReport {
  readonly samples: number;
  /** With everything in INT8 that can be. */
  readonly quantized: AccuracyFigures;
  /** As converted. */
  readonly converted: AccuracyFigures;
  /** Layers in higher precision, the costliest first, and the signal-to-noise that quantizing each alone leaves. */
  readonly kept: readonly (Pick<LayerSensitivity, 'name' | 'op' | 'signalToNoise'> & {
    readonly precision: Precision;
  })[];
  /** How many models were measured. */
  readonly trials: number;
}

/** A layer at one width. */
export interface WidthOption {
  readonly bits: WeightBits;
  /** Stored bits of a weight, scales counted. */
  readonly bitsPerWeight: number;
  /** Signal-to-noise at the outputs of the model with only this layer quantized, in dB. */
  readonly signalToNoise: number;
}

export interface LayerWidths {
  readonly name: string;
  /** Number of weights. */
  readonly weights: number;
  /** Widest first. */
  readonly options: readonly WidthOption[];
}

export interface BitAllocation {
  readonly targetBits: number;
  /** Reached, over all weights of quantized layers. */
  readonly bitsPerWeight: number;
  readonly layers: readonly (LayerWidths & { readonly chosen: WeightBits })[];
}

/** What a conversion did to the model. */
export interface QuantizationReport extends NodeRecords {
  /** How many native programs the quantized nodes became. */
  readonly regions: number;
  /** What the passes before quantization did, and what they declined. */
  readonly changes: readonly Change[];
  readonly macs: MacCounts;
  readonly calibration: CalibrationProvenance;
  /** With `tune`: what was tried. */
  readonly tuning?: Tuning;
  /** How near the outputs are to the float model's, on a few samples; absent without data. */
  readonly fidelity?: Fidelity;
  /** With a recipe other than `fast`: how it was found. */
  readonly recipe?: RecipeReport;
  /** With an accuracy target: how it was met. */
  readonly accuracy?: AccuracyReport;
  /** Stored bits of a weight on average over all quantized layers, scales counted. */
  readonly bitsPerWeight: number;
  /** With `targetBits`: what each layer costs at each width, and which it got. */
  readonly allocation?: BitAllocation;
  /** All that was decided, as a configuration: converting with it gives the same model. */
  readonly config: Config;
  readonly warnings: readonly string[];
}

/** The experts of a converted model. */
export interface ExpertReport {
  readonly layers: number;
  /** Of a layer. */
  readonly experts: number;
  readonly topK: number;
  readonly budget: string;
  /** Bytes of one expert and of all. */
  readonly precisions: readonly {
    readonly name: string;
    readonly expertBytes: number;
    readonly bytes: number;
  }[];
}

export interface ConvertReport extends QuantizationReport {
  /** Folder of the converted model. */
  readonly output: string;
  /** Model files on disk. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Of a model with a mixture of experts. */
  readonly experts?: ExpertReport;
}
