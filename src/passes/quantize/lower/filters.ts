/** Constants of an op in a program's weights: filters in every format, and tensors of codes. */

import type { Constant } from '../../../graph/ir';
import {
  type Int8FilterRef,
  type Int16FilterRef,
  type LowBitFilterRef,
  type LowBitFormat,
  type OffsetInt8FilterRef,
  OpKind,
  WeightFormat,
  type WeightsBuilder,
} from '../../../program/program';
import { quantizeValue } from '../../../quantization/activation';
import { chooseAffine, type FilterCodes, type Range } from '../../../quantization/affine';
import type { LowBitMatrix } from '../../../quantization/formats/format';
import { type Int16Filter, offsetInt8Codes } from '../../../quantization/int16-filter';
import type { ProgramBuilder } from './program-builder';

/** @param bias int32 at the accumulator's scale, or float32 */
export function appendInt8Filter(
  weights: WeightsBuilder,
  { codes, scales }: FilterCodes,
  bias?: Int32Array | Float32Array,
): Int8FilterRef {
  return {
    filterOffset: weights.append(codes),
    ...(bias && { biasOffset: weights.append(bias) }),
    scaleOffset: weights.append(scales),
    format: WeightFormat.Int8,
  };
}

/** In 8 bits where its codes fit. */
export function appendInt16Filter(
  weights: WeightsBuilder,
  filter: Int16Filter,
  channel: (i: number) => number,
  bias: Float32Array,
): Int16FilterRef | OffsetInt8FilterRef {
  const narrow = offsetInt8Codes(filter, channel);
  const place = {
    filterOffset: weights.append(narrow?.codes ?? filter.codes),
    biasOffset: weights.append(bias),
    scaleOffset: weights.append(filter.scales),
  };
  return narrow
    ? { ...place, format: WeightFormat.OffsetInt8, zeroPointOffset: weights.append(narrow.zeroPoints) }
    : { ...place, format: WeightFormat.Int16 };
}

export function appendLowBitFilter(
  weights: WeightsBuilder,
  { storage, codes, scales, levels, group, unit }: LowBitMatrix,
  bias: Float32Array | undefined,
): LowBitFilterRef {
  return {
    filterOffset: weights.append(codes),
    ...(bias && { biasOffset: weights.append(bias) }),
    scaleOffset: weights.append(scales),
    levelsOffset: weights.append(levels),
    format: storage as LowBitFormat,
    group,
    unit,
  };
}

function rangeOf(values: Float32Array): Range {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, max };
}

/** Appends a tensor of constant codes, in the range that its values have. */
export function appendConstant(builder: ProgramBuilder, name: string, { shape, values }: Constant): number {
  const params = chooseAffine(rangeOf(values as Float32Array));
  const codes = Int8Array.from(values, (value) => quantizeValue(value, params));
  const output = builder.temporary(shape, params);
  const offset = builder.weights.append(codes);
  builder.op({ kind: OpKind.Constant, name, inputs: [], output, offset, shape });
  return output;
}
