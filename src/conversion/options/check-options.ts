/** Checks of single options. */
import { checkArgument } from '../../base/errors';
import { CALIBRATION_METHODS } from '../../calibration/observers/methods';
import { BIAS_CORRECTIONS } from '../../quantization/bias-correction';
import { ROTATION_BLOCKS } from '../../quantization/hadamard';
import { ACTIVATIONS, GROUPS, MAX_TARGET_BITS, WEIGHT_FORMATS } from '../../quantization/layer-weights';
import { WEIGHT_RANGES } from '../../quantization/weight-range';
import { RECIPES } from '../recipes';
import type { QuantizationOptions } from './options';

interface Check {
  readonly expected: string;
  holds(value: unknown): boolean;
}

const positiveInteger: Check = {
  expected: 'a positive integer',
  holds: (value) => Number.isInteger(value) && (value as number) > 0,
};

const finite: Check = { expected: 'a finite number', holds: Number.isFinite };

const oneOf = (values: readonly unknown[]): Check => ({
  expected: `one of ${values.join(', ')}`,
  holds: (value) => values.includes(value),
});

/** Above `min`, at most `max`. */
const within = (min: number, max: number): Check => ({
  expected: `a number above ${min}, at most ${max}`,
  holds: (value) => (value as number) > min && (value as number) <= max,
});

const CHECKS: Partial<Record<keyof QuantizationOptions, Check>> = {
  recipe: oneOf(RECIPES),
  timeBudget: within(0, 1e6),
  samples: positiveInteger,
  percentile: within(50, 100),
  calibrationMethod: oneOf(CALIBRATION_METHODS),
  weightRange: oneOf(WEIGHT_RANGES),
  biasCorrection: oneOf(BIAS_CORRECTIONS),
  maxDrop: finite,
  minSignalToNoise: finite,
  int16: {
    expected: 'a number of layers, or names and patterns',
    holds: (value) => Array.isArray(value) || (Number.isInteger(value) && (value as number) >= 0),
  },
  activations: oneOf(ACTIVATIONS),
  weights: oneOf(WEIGHT_FORMATS),
  group: oneOf(GROUPS),
  rotate: {
    expected: `true, false or one of ${ROTATION_BLOCKS.join(', ')}`,
    holds: (value) => [true, false, ...ROTATION_BLOCKS].some((known) => known === value),
  },
  targetBits: within(2, MAX_TARGET_BITS),
  validationSamples: positiveInteger,
};

export function checkQuantization(options: QuantizationOptions): void {
  for (const [name, { expected, holds }] of Object.entries(CHECKS)) {
    const value = options[name as keyof QuantizationOptions];
    checkArgument(value === undefined || holds(value), name, expected, value);
  }
}
