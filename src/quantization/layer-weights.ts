/** How the weights of a layer are stored, as options and configurations say it. */
import type { FormatName } from './formats/format';
import { FORMATS } from './formats/registry';
import type { ROTATION_BLOCKS } from './hadamard';

export const WEIGHT_FORMATS = ['int8', ...FORMATS] as const;

export type WeightsName = 'int8' | FormatName;

/** Inputs that share a scale; 0: the whole row. */
export const GROUPS = [0, 32, 64, 128, 256] as const;

export type Group = (typeof GROUPS)[number];

/** A block of `ROTATION_BLOCKS`; true: the usual one; false: none. */
export type RotateOption = boolean | (typeof ROTATION_BLOCKS)[number];

/** What is between layers: INT8 codes, or real values; then only weights are quantized. */
export const ACTIVATIONS = ['int8', 'float32'] as const;

export type Activations = (typeof ACTIVATIONS)[number];

export const DEFAULT_GROUP: Group = 128;

const DEFAULT_BLOCK = 128;

/** How a layer is configured to store its weights. */
export interface LayerWeights {
  readonly format: WeightsName;
  readonly group: Group;
  /** Block of the rotation; 0: none. */
  readonly block: number;
}

export function blockOf(rotate: RotateOption | undefined): number {
  if (rotate === true) return DEFAULT_BLOCK;
  return rotate || 0;
}

export type WeightBits = 8 | 4 | 3 | 2;

/** The format for a width given alone: the one with the least squared error. */
export const FORMAT_OF_BITS: Readonly<Record<WeightBits, WeightsName>> = {
  8: 'int8',
  4: 'uniform4',
  3: 'uniform3',
  2: 'trellis2',
};

/** What INT8 with its scales has at most, but for tiny layers. */
export const MAX_TARGET_BITS = 9;
