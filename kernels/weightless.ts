/** Shared by the kernels without a filter. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { AffineParams } from '../src/program/affine-params';
import { type OpKind, WeightsBuilder } from '../src/program/program';
import { weightlessProgram } from '../src/runtime/program-cache';
import { type KernelCall, runProgram } from './kernel';
import { compileOneOp, programKey } from './one-op';

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
