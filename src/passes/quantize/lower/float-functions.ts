/** Functions of one number on float32 tensors, computed in one pass. */

import type { TensorRef } from '../../../graph/ir';
import { type FloatFunctionKind, OpKind } from '../../../program/program';
import { type Bounds, UNBOUNDED } from '../../../quantization/activation';
import type { ProgramBuilder } from './program-builder';

/** One factor and summand for all channels, or one a channel. */
export interface FloatAffine {
  readonly kind?: OpKind.FloatAffine | OpKind.FloatGate;
  readonly factor: Float32Array;
  readonly summand: Float32Array;
  readonly clamp?: Bounds;
}

/** Appends y = clamp(x * factor + summand), or x * y for a gate, between two declared tensors. */
export function appendAffineOp(
  builder: ProgramBuilder,
  name: string,
  input: number,
  output: number,
  affine: FloatAffine,
): void {
  const { kind = OpKind.FloatAffine, factor, summand, clamp: [floatMin, floatMax] = UNBOUNDED } = affine;
  builder.op({
    kind,
    name,
    inputs: [input],
    output,
    channels: factor.length,
    aOffset: builder.weights.append(factor),
    bOffset: builder.weights.append(summand),
    floatMin,
    floatMax,
  });
}

/** The same between tensors of the graph. */
export function appendFloatAffine(
  builder: ProgramBuilder,
  name: string,
  from: TensorRef,
  result: TensorRef,
  affine: FloatAffine,
): void {
  const input = builder.dequantized(from);
  appendAffineOp(builder, name, input, builder.floatResult(result), affine);
}

/** Appends a named function, as sigmoid. */
export function appendFloatFunction(
  builder: ProgramBuilder,
  name: string,
  from: TensorRef,
  result: TensorRef,
  kind: FloatFunctionKind,
): void {
  const inputs = [builder.dequantized(from)];
  const output = builder.floatResult(result);
  builder.op({ kind: OpKind.FloatFunction, function: kind, name, inputs, output });
}
