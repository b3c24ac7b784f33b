import { type BinaryKind, OpKind } from '../src/program/program';
import { checkInput, type LowbitKernel } from './kernel';
import { fusedActivation, type OutputAttrs } from './one-op';
import { runWeightless } from './weightless';

export interface QuantizedArithmeticAttrs extends OutputAttrs {
  aScale: number;
  aZeroPoint: number;
  bScale: number;
  bZeroPoint: number;
  outputScale: number;
  outputZeroPoint: number;
}

function arithmeticKernel(name: string, kind: BinaryKind): LowbitKernel {
  return {
    name,
    inputNames: ['a', 'b'],
    run(call) {
      const attrs = call.attrs as unknown as QuantizedArithmeticAttrs;
      const a = checkInput(name, call.inputs, 'a', 'int32');
      const b = checkInput(name, call.inputs, 'b', 'int32');
      const output = { scale: attrs.outputScale, zeroPoint: attrs.outputZeroPoint };
      return runWeightless(call, {
        kernelName: name,
        kind,
        inputs: [
          { tensor: a, params: { scale: attrs.aScale, zeroPoint: attrs.aZeroPoint } },
          { tensor: b, params: { scale: attrs.bScale, zeroPoint: attrs.bZeroPoint } },
        ],
        output,
        outputRank: Math.max(a.shape.length, b.shape.length),
        fields: (weights) => ({ activation: fusedActivation(attrs, output, weights) }),
      });
    },
  };
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
