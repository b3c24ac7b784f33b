/** The options of a conversion, as its users write them. */
import type { CalibrationMethod } from '../../calibration/observers/methods';
import type { LabelledSource, SampleSource } from '../../graph/samples';
import type { ExpertFormat } from '../../moe/store/expert-bytes';
import type { Config } from '../config/config';
import type { ConvertProgress } from '../progress';

/** Those of a configuration file that are options under the same name. */
type ConfiguredOptions = Omit<Config, 'version' | 'calibration' | 'skip' | 'layers'>;

/** Options that do not depend on where the model comes from and where it goes. */
export interface QuantizationOptions extends ConfiguredOptions {
  /** Settings of single layers, and defaults for the other options. */
  config?: Config;
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
