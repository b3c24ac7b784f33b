/** The configuration of a conversion, as `lowbit.json` holds it. */
import * as z from 'zod';
import { LowbitError } from '../../base/errors';
import { CALIBRATION_METHODS } from '../../calibration/observers/methods';
import { BIAS_CORRECTIONS } from '../../quantization/bias-correction';
import { ROTATION_BLOCKS } from '../../quantization/hadamard';
import { ACTIVATIONS, GROUPS, MAX_TARGET_BITS, WEIGHT_FORMATS } from '../../quantization/layer-weights';
import { WEIGHT_RANGES } from '../../quantization/weight-range';
import { RECIPES } from '../recipes';

/** Bits of a layer: a number is the width of its weights, in the format that serves it best. */
const bits = z.literal([8, 4, 3, 2, 'float'], { error: "expected 8, 4, 3, 2 or 'float'" });

const weights = z.enum(WEIGHT_FORMATS, { error: `expected one of ${WEIGHT_FORMATS.join(', ')}` });

/** Inputs that share a scale; 0: the whole row. */
const group = z.literal(GROUPS, { error: `expected one of ${GROUPS.join(', ')}` });

/** Rotates activations and weights by a Hadamard transform of blocks of this size; true: of 128. */
const rotate = z.literal([true, false, ...ROTATION_BLOCKS], {
  error: `expected true, false or one of ${ROTATION_BLOCKS.join(', ')}`,
});

/**
 * Precision of a layer's activations. int16: weights are int16 too, the result is float32; dynamic: int8 codes whose
 * scales are computed when the model runs, the result is float32.
 */
const layerActivations = z.enum(['int8', 'int16', 'dynamic'], { error: 'expected int8, int16 or dynamic' });

const method = z.enum(CALIBRATION_METHODS, { error: `expected one of ${CALIBRATION_METHODS.join(', ')}` });

const PATTERN = { error: 'expected the name of a node, or a pattern such as head/**' };

const pattern = z.string(PATTERN).min(1, PATTERN);

const layer = z.strictObject({
  /** Name of a node, or a glob pattern of names: `*` within a part between slashes, `**` across them. */
  match: pattern,
  bits: bits.optional(),
  /** How its weights are stored; overrides `bits` of the same entry. */
  weights: weights.optional(),
  group: group.optional(),
  rotate: rotate.optional(),
  activations: layerActivations.optional(),
  /** How the range of the layer's result is chosen. */
  calibration: method.optional(),
});

const config = z.strictObject({
  /** Version of this format. */
  version: z.literal(1, { error: 'expected 1, the version of this format' }).optional(),
  calibration: z
    .strictObject({
      method: method.optional(),
      /** For the method `percentile`: the share of values that either bound keeps, in percent. */
      percentile: z.number().gt(50).max(100).optional(),
      /** How many samples to use at most. */
      samples: z.int().positive().optional(),
      /** Holds out samples of the calibration data to judge the model on, as recipes other than `fast` do. */
      holdOut: z.boolean().optional(),
    })
    .optional(),
  /** How far the conversion goes for accuracy. */
  recipe: z.enum(RECIPES, { error: `expected one of ${RECIPES.join(', ')}` }).optional(),
  /** Brings the channels of a tensor to similar ranges. */
  equalize: z.boolean().optional(),
  /** How the bounds of weights are chosen. */
  weightRange: z.enum(WEIGHT_RANGES, { error: `expected one of ${WEIGHT_RANGES.join(', ')}` }).optional(),
  /** Corrects biases for the shift that quantization causes in means. */
  biasCorrection: z
    .enum(BIAS_CORRECTIONS, { error: `expected one of ${BIAS_CORRECTIONS.join(', ')}` })
    .optional(),
  /** How weights are stored where no layer sets it; first, last and depthwise layers then stay in INT8. */
  weights: weights.optional(),
  group: group.optional(),
  rotate: rotate.optional(),
  /** Spreads the error of rounded weights over those that are rounded later. */
  errorFeedback: z.boolean().optional(),
  /** Average bits of a weight for which layers of 8, 4, 3 and 2 bits are mixed. */
  targetBits: z.number().gt(2).lte(MAX_TARGET_BITS).optional(),
  /** int8; or float32: only weights are quantized, of matrix products and of tables. */
  activations: z.enum(ACTIVATIONS, { error: `expected one of ${ACTIVATIONS.join(', ')}` }).optional(),
  /** One native program for every region of quantized nodes, or a kernel for every node. */
  regions: z.boolean().optional(),
  /** Patterns of nodes that stay float: short for layers with bits `float`. */
  skip: z.array(pattern).optional(),
  /** The last entry that matches decides, each field on its own. */
  layers: z.array(layer).optional(),
});

export type Config = z.infer<typeof config>;

export type LayerConfig = z.infer<typeof layer>;

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
