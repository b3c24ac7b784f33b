/** The options of a conversion, as its users write them. */
import type { CalibrationMethod } from '../../calibration/observers/methods';
import type { LabelledSource, SampleSource } from '../../graph/samples';
import type { ExpertFormat } from '../../moe/store/expert-bytes';
import type { BiasCorrection } from '../../quantization/bias-correction';
import type { Activations, Group, RotateOption, WeightsName } from '../../quantization/layer-weights';
import type { WeightRange } from '../../quantization/weight-range';
import type { Config } from '../config/config';
import type { ConvertProgress } from '../progress';
import type { RecipeName } from '../recipes';

/** Options that do not depend on where the model comes from and where it goes. */
export interface QuantizationOptions {
  /** Settings of single layers, and defaults for the options below. */
  config?: Config;
  /**
   * How far a conversion goes for accuracy. `fast`: static INT8, the fastest, whatever its accuracy. `balanced`: where
   * that leaves the median of held-out samples below 25 dB at an output, better weights, dynamic or int16 activations for
   * as few layers as need them. `accurate`: the same for 35 dB. Default: `balanced`; `fast` without calibration data, and
   * where options below decide (`int16`, `dynamic`, `weights`, `targetBits`, `tune`, an accuracy target, or a
   * configuration with bits or activations of layers).
   */
  recipe?: RecipeName;
  /** Seconds from the start that the search for a recipe may take; then the best model so far is used. Default 180. */
  timeBudget?: number;
  /** Names or glob patterns of nodes that stay float. */
  skip?: readonly string[];
  /** How the range of a tensor is chosen from the observed values. Default `mse`. */
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
   * Corrects biases for the shift that quantization causes in the mean of a layer's outputs: `fast` counts the rounding
   * of the layer's own weights; `sequential` also what the quantized layers before it do to its inputs, and runs the
   * model once a layer. Default `fast`.
   */
  biasCorrection?: BiasCorrection;
  /**
   * How weights are stored: in INT8, or in fewer bits where the engine can multiply by them. First, last and depthwise
   * layers stay in INT8 unless `config` names them. Default `int8`.
   */
  weights?: WeightsName;
  /** Inputs that share a scale in low-bit formats: 32, 64, 128 or 256; 0: the whole row. Default 128. */
  group?: Group;
  /**
   * Spreads weights of low-bit layers evenly by a Hadamard transform of their inputs, in blocks of 64, 128 or 256 (true:
   * 128), where that lowers their error. Default false.
   */
  rotate?: RotateOption;
  /** Compensates the error of each weight in those that are rounded after it, whatever its bits. Default false. */
  errorFeedback?: boolean;
  /** Mixes layers of 8, 4, 3 and 2 bits so that weights have at most this many on average, with the least error. */
  targetBits?: number;
  /**
   * Tensors between layers: INT8 codes, or `float32`: then only the weights of matrix products and of tables are
   * quantized, which makes a model small, and fast where reading its weights takes most of the time. Default `int8`.
   */
  activations?: Activations;
  /**
   * Layers with int16 activations and weights, which take about twice the time of INT8: a number of layers, those that
   * cost the most accuracy on the validation data; or names or glob patterns of names. Default 0.
   */
  int16?: number | readonly string[];
  /**
   * Names or glob patterns of layers with dynamic activations: INT8 codes whose scale and zero point are computed from
   * the values when the model runs, one for each channel of a depthwise convolution, each pixel of a 1x1 convolution,
   * each row of a matrix product, else each sample. Tensors between such layers are float32, which takes more time than
   * INT8, and no value can be out of range. A layer that `int16` names too gets int16 activations.
   */
  dynamic?: readonly string[];
  /**
   * One native program for every region of quantized nodes; false: a kernel for every node, which is slower and shows
   * every intermediate. The results are the same. Default true.
   */
  regions?: boolean;
  /**
   * Tries percentile ranges, equalization and error feedback, only options you have not set, and keeps those that lower
   * the noise of the outputs on at most 64 samples of `validation`. Costs several extra conversions. Default false.
   */
  tune?: boolean;
  /**
   * Accuracy target: the model loses at most this many points of top-1 accuracy on `validation`. As few layers as
   * possible get dynamic activations; if that is not enough, int16 activations; if that is not enough either, they stay
   * in float. Needs labels.
   */
  maxDrop?: number;
  /** Accuracy target: at least this signal-to-noise ratio, in dB, at every output. Met in the same way. */
  minSignalToNoise?: number;
  /**
   * Samples that accuracy targets, `tune`, `targetBits` and `int16` are measured on. Default: the calibration data,
   * which has no labels.
   */
  validation?: LabelledSource;
  /** How many validation samples to use at most for accuracy targets. Default 128. */
  validationSamples?: number;
  onProgress?(progress: ConvertProgress): void;
  /** Aborts the conversion; nothing is left behind. */
  signal?: AbortSignal;
}

/** How the experts of a model with `MoELayer`s are packed. */
export interface ExpertPackOptions {
  /** Precisions of each expert; the first is what is read by default. Default: int8. */
  readonly formats?: readonly ExpertFormat[];
  /**
   * Memory for experts when the model runs, unless its loader sets another: a share of all (`25%`), bytes (`64MB`), a
   * kind of device (`MEMORY_PRESETS`), or `auto` (default), half of what the process may have.
   */
  readonly budget?: string;
}

export interface ConvertOptions extends QuantizationOptions {
  /** Path or file URL of the float model's model.json. */
  input: string;
  /** Folder for the converted model. */
  output: string;
  /**
   * Representative samples, preprocessed as the model expects; `random`: meaningless numbers, for trying out. Without
   * them all layers get dynamic activations; with `activations: 'float32'` all errors of weights then count alike.
   */
  calibration?: SampleSource | 'random';
  /** Replace an output folder that holds a model other than one of ours. Default false. */
  overwrite?: boolean;
  /** For a model with `MoELayer`s: how their experts are packed into a file beside the model. */
  experts?: ExpertPackOptions;
}

export interface DryRunOptions extends QuantizationOptions {
  /** Path or file URL of the float model's model.json. */
  input: string;
  /** Representative samples, as for `convert`; the first ones also measure the layers. */
  calibration: SampleSource | 'random';
  /** As for `convert`. */
  experts?: ExpertPackOptions;
}
