/** What the low-bit weight formats share: their names, and the matrix that each of them fills. */
import type { WeightFormat } from '../../program/program';

export type FormatName =
  | 'int4'
  | 'uniform4'
  | 'pi3'
  | 'uniform3'
  | 'pi2'
  | 'uniform2'
  | 'lloyd2'
  | 'trellis2';

/** A format: the codes it stores and the levels they select. */
export interface Format {
  readonly name: FormatName;
  readonly storage: WeightFormat;
  readonly bits: 2 | 3 | 4;
  /** One integer for each code, or, of a trellis, for each pair of codes. */
  readonly levels: readonly number[];
}

/**
 * A matrix of `rows` output channels by `depth` inputs in 2, 3 or 4 bits, as it lies in the weights of a program:
 * value(r, k) = level * (scale(r, k / group) * unit), two float32 multiplications. The level is
 * levels[code[k]] or, of a trellis, levels[code[k-4] | code[k] << 2] with code[k] = 0 for k < 0.
 */
export interface LowBitMatrix {
  format: FormatName;
  storage: WeightFormat;
  rows: number;
  depth: number;
  /** Inputs that share a scale, a multiple of 32; 0: the whole row. The last group of a row may be shorter. */
  group: number;
  /** Real units per level at scale 1. */
  unit: number;
  /** 16 entries, each at most 63 in magnitude; those that no code reaches are 0. */
  levels: Int8Array;
  /** Row after row, each from a byte on; see `packRow`. */
  codes: Uint8Array;
  /** Bits of float16, [rows][groups]; see group-scale.ts. */
  scales: Uint16Array;
}

/** Entries of the table of levels, used or not. */
export const LEVELS = 16;

/** The largest level: 2 * 255 * 63 < 2^15, so that adding two products with unsigned bytes cannot saturate int16. */
export const MAX_LEVEL = 63;

/** Interleaved sequences in a row of a trellis: a level depends on a code and the one this many places earlier. */
export const TRELLIS_STRIDE = 4;

/** Groups are whole vectors of every instruction set. */
export const GROUP_MULTIPLE = 32;

/** Scales of a row. */
export function groupsOf({ depth, group }: Pick<LowBitMatrix, 'depth' | 'group'>): number {
  return group === 0 ? 1 : Math.ceil(depth / group);
}

/** End of group `g` of a row. */
export function groupEnd({ depth, group }: Pick<LowBitMatrix, 'depth' | 'group'>, g: number): number {
  return group === 0 ? depth : Math.min(depth, (g + 1) * group);
}
