/** The configuration of a conversion, as `lowbit.json` holds it. */

import { LowbitError } from '../../base/errors';
import { CALIBRATION_METHODS, type CalibrationMethod } from '../../calibration/observers/methods';
import { BIAS_CORRECTIONS, type BiasCorrection } from '../../quantization/bias-correction';
import { ROTATION_BLOCKS } from '../../quantization/hadamard';
import {
  ACTIVATIONS,
  type Activations,
  GROUPS,
  type Group,
  MAX_TARGET_BITS,
  type RotateOption,
  WEIGHT_FORMATS,
  type WeightBits,
  type WeightsName,
} from '../../quantization/layer-weights';
import { WEIGHT_RANGES, type WeightRange } from '../../quantization/weight-range';
import * as z from '../../vendor/zod';
import { RECIPES, type RecipeName } from '../recipes';

/** Settings of the layers that a pattern matches. */
export interface LayerConfig {
  /** Name of a node, or a glob pattern of names: `*` within a part between slashes, `**` across them. */
  match: string;
  /** Bits of a layer: a number is the width of its weights, in the format that serves it best. */
  bits?: WeightBits | 'float';
  /** How its weights are stored; overrides `bits` of the same entry. */
  weights?: WeightsName;
  group?: Group;
  rotate?: RotateOption;
  /**
   * Precision of the activations. int16: weights are int16 too, the result is float32; dynamic: int8 codes whose scales
   * are computed when the model runs, the result is float32.
   */
  activations?: 'int8' | 'int16' | 'dynamic';
  /** How the range of the layer's result is chosen. */
  calibration?: CalibrationMethod;
}

export interface Config {
  /** Version of this format. */
  version?: 1;
  calibration?: {
    method?: CalibrationMethod;
    /** For the method `percentile`: the share of values that either bound keeps, in percent. */
    percentile?: number;
    /** How many samples to use at most. */
    samples?: number;
    /** Holds out samples of the calibration data to judge the model on, as recipes other than `fast` do. */
    holdOut?: boolean;
  };
  /**
   * How far a conversion goes for accuracy. `fast`: static INT8, the fastest, whatever its accuracy. `balanced`: where
   * that leaves the median of held-out samples below 25 dB at an output, better weights, dynamic or int16 activations for
   * as few layers as need them. `accurate`: the same for 35 dB. Default: `balanced`; `fast` without calibration data, and
   * where other options decide (`int16`, `dynamic`, `weights`, `targetBits`, `tune`, an accuracy target, or a
   * configuration with bits or activations of layers).
   */
  recipe?: RecipeName;
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
   * layers stay in INT8 unless an entry of `layers` names them. Default `int8`.
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
   * One native program for every region of quantized nodes; false: a kernel for every node, which is slower and shows
   * every intermediate. The results are the same. Default true.
   */
  regions?: boolean;
  /** Patterns of nodes that stay float: short for layers with bits `float`. */
  skip?: string[];
  /** The last entry that matches decides, each field on its own. */
  layers?: LayerConfig[];
}

const oneOf = <const Values extends readonly string[]>(values: Values) =>
  z.enum(values, { error: `expected one of ${values.join(', ')}` });

const bits = z.literal([8, 4, 3, 2, 'float'], { error: "expected 8, 4, 3, 2 or 'float'" });

const group = z.literal(GROUPS, { error: `expected one of ${GROUPS.join(', ')}` });

const rotate = z.literal([true, false, ...ROTATION_BLOCKS], {
  error: `expected true, false or one of ${ROTATION_BLOCKS.join(', ')}`,
});

const PATTERN = { error: 'expected the name of a node, or a pattern such as head/**' };

const pattern = z.string(PATTERN).min(1, PATTERN);

const layer: z.ZodType<LayerConfig> = z.strictObject({
  match: pattern,
  bits: bits.optional(),
  weights: oneOf(WEIGHT_FORMATS).optional(),
  group: group.optional(),
  rotate: rotate.optional(),
  activations: z.enum(['int8', 'int16', 'dynamic'], { error: 'expected int8, int16 or dynamic' }).optional(),
  calibration: oneOf(CALIBRATION_METHODS).optional(),
});

const config: z.ZodType<Config> = z.strictObject({
  version: z.literal(1, { error: 'expected 1, the version of this format' }).optional(),
  calibration: z
    .strictObject({
      method: oneOf(CALIBRATION_METHODS).optional(),
      percentile: z.number().gt(50).max(100).optional(),
      samples: z.int().positive().optional(),
      holdOut: z.boolean().optional(),
    })
    .optional(),
  recipe: oneOf(RECIPES).optional(),
  equalize: z.boolean().optional(),
  weightRange: oneOf(WEIGHT_RANGES).optional(),
  biasCorrection: oneOf(BIAS_CORRECTIONS).optional(),
  weights: oneOf(WEIGHT_FORMATS).optional(),
  group: group.optional(),
  rotate: rotate.optional(),
  errorFeedback: z.boolean().optional(),
  targetBits: z.number().gt(2).lte(MAX_TARGET_BITS).optional(),
  activations: oneOf(ACTIVATIONS).optional(),
  regions: z.boolean().optional(),
  skip: z.array(pattern).optional(),
  layers: z.array(layer).optional(),
});

function describe({ path, message }: z.core.$ZodIssue): string {
  const at = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return at === '' ? message : `${at.replace(/^\./, '')}: ${message}`;
}

/**
 * Checks a configuration.
 *
 * @param source its name in messages, a path for example
 * @throws LowbitError 'invalid-argument' listing every field that is wrong, and what was expected there
 */
export function checkConfig(value: unknown, source: string): Config {
  const result = config.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(describe).join('; ');
  throw new LowbitError('invalid-argument', `${source} is no valid configuration: ${problems}.`);
}
