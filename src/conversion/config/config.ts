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
  /** How far the conversion goes for accuracy. */
  recipe?: RecipeName;
  /** Brings the channels of a tensor to similar ranges. */
  equalize?: boolean;
  /** How the bounds of weights are chosen. */
  weightRange?: WeightRange;
  /** Corrects biases for the shift that quantization causes in means. */
  biasCorrection?: BiasCorrection;
  /** How weights are stored where no layer sets it; first, last and depthwise layers then stay in INT8. */
  weights?: WeightsName;
  /** Inputs that share a scale; 0: the whole row. */
  group?: Group;
  /** Rotates activations and weights by a Hadamard transform of blocks of this size; true: of 128. */
  rotate?: RotateOption;
  /** Spreads the error of rounded weights over those that are rounded later. */
  errorFeedback?: boolean;
  /** Average bits of a weight for which layers of 8, 4, 3 and 2 bits are mixed. */
  targetBits?: number;
  /** int8; or float32: only weights are quantized, of matrix products and of tables. */
  activations?: Activations;
  /** One native program for every region of quantized nodes, or a kernel for every node. */
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
