import { type BinaryKind, OpKind } from '../src/program/program';
import type { LowbitKernel } from './kernel';
import { fusedActivation, type OutputAttrs } from './one-op';
import { type BinaryAttrs, binaryParams, weightlessKernel } from './weightless';

export interface QuantizedArithmeticAttrs extends OutputAttrs, BinaryAttrs {
  outputScale: number;
  outputZeroPoint: number;
}

function arithmeticKernel(name: string, kind: BinaryKind): LowbitKernel {
  return weightlessKernel<QuantizedArithmeticAttrs>(name, ['a', 'b'], (attrs) => {
    const output = { scale: attrs.outputScale, zeroPoint: attrs.outputZeroPoint };
    return {
      kind,
      inputs: binaryParams(attrs),
      output,
      fields: (weights) => ({ activation: fusedActivation(attrs, output, weights) }),
    };
  });
}

/** Sum of two tensors of int8 codes (int32), each with its own scale, with NumPy broadcasting. */
export const quantizedAddKernel = arithmeticKernel('QuantizedAdd', OpKind.Add);

/** Product of two tensors of int8 codes (int32), each with its own scale, with NumPy broadcasting. */
export const quantizedMulKernel = arithmeticKernel('QuantizedMul', OpKind.Mul);

/** Difference a - b of two tensors of int8 codes (int32), each with its own scale, with NumPy broadcasting. */
export const quantizedSubKernel = arithmeticKernel('QuantizedSub', OpKind.Sub);

/** The greater of two tensors of int8 codes (int32), each with its own scale, with NumPy broadcasting. */
export const quantizedMaximumKernel = arithmeticKernel('QuantizedMaximum', OpKind.Maximum);

/** The lesser of two tensors of int8 codes (int32), each with its own scale, with NumPy broadcasting. */
export const quantizedMinimumKernel = arithmeticKernel('QuantizedMinimum', OpKind.Minimum);
