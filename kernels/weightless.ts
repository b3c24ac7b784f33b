/** Shared by the kernels without a filter. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { AffineParams } from '../src/program/affine-params';
import { type OpKind, WeightsBuilder } from '../src/program/program';
import { weightlessProgram } from '../src/runtime/program-cache';
import { checkInput, type KernelCall, type LowbitKernel, runProgram } from './kernel';
import { compileOneOp, programKey } from './one-op';

/** Quantization of two inputs `a` and `b`. */
export interface BinaryAttrs {
  aScale: number;
  aZeroPoint: number;
  bScale: number;
  bZeroPoint: number;
}

export function binaryParams({ aScale, aZeroPoint, bScale, bZeroPoint }: BinaryAttrs): AffineParams[] {
  return [
    { scale: aScale, zeroPoint: aZeroPoint },
    { scale: bScale, zeroPoint: bZeroPoint },
  ];
}

/** Of codes that are only moved. */
export const ANY_SCALE: AffineParams = { scale: 1, zeroPoint: 0 };

interface Weightless {
  kernelName: string;
  kind: OpKind;
  /** Without quantization: float32. */
  inputs: readonly { tensor: TensorInfo; params: AffineParams | undefined }[];
  output: AffineParams | undefined;
  outputRank: number;
  /** Distinguishes programs beside attributes and ranks. */
  key?: unknown;
  /** The op's own fields; tables are appended to the weights. */
  fields(weights: WeightsBuilder): object;
}

interface Description extends Pick<Weightless, 'kind' | 'output' | 'fields'> {
  /** Quantization of each input's codes; without: float32. */
  inputs: readonly (AffineParams | undefined)[];
  /** Default: that of the input with the most dimensions. */
  outputRank?: number;
}

/** A kernel of tensors of int32 codes or float32 values. */
export function weightlessKernel<Attrs>(
  name: string,
  inputNames: readonly string[],
  describe: (attrs: Attrs) => Description,
): LowbitKernel {
  return {
    name,
    inputNames,
    run(call) {
      const { inputs, ...op } = describe(call.attrs as unknown as Attrs);
      const tensors = inputNames.map((input, i) => ({
        tensor: checkInput(name, call.inputs, input, inputs[i] ? 'int32' : 'float32'),
        params: inputs[i],
      }));
      const outputRank = Math.max(...tensors.map(({ tensor }) => tensor.shape.length));
      return runWeightless(call, { kernelName: name, outputRank, ...op, inputs: tensors });
    },
  };
}

/** Runs a kernel of int32 codes or float32 values. */
export function runWeightless(call: KernelCall, op: Weightless): TensorInfo {
  const tensors = op.inputs.map(({ tensor }) => tensor);
  const program = weightlessProgram(programKey(op.kernelName, [call.attrs, op.key], tensors), () => {
    const weights = new WeightsBuilder();
    const fields = op.fields(weights);
    const inputs = op.inputs.map(({ tensor, params }) => ({ params, rank: tensor.shape.length }));
    return compileOneOp(
      { kind: op.kind, name: op.kernelName, inputs, output: op.output, outputRank: op.outputRank, fields },
      weights,
    );
  });
  return runProgram(call, program, tensors, op.output ? 'int32' : 'float32')[0];
}
