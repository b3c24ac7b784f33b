/**
 * The quantized program in plain TypeScript: what every engine must compute, to the bit. It is written to be read
 * beside the numerics contract, not to be fast: integers are exact, each float32 operation is one `Math.fround`.
 */

import { type Op, OpKind, type Program, type TensorSpec, TensorType } from '../../../src/program/program';
import type { TensorData } from '../../../src/runtime/engine';
import { dynamicConv2d, dynamicDepthwise, dynamicLinear, quantizeDynamic, quantizeGrid } from './dynamic';
import { binary, dequantize, lookup, prelu, quantizeReals } from './elementwise';
import { conv2d, depthwiseConv2d, linear, transposedConv2d } from './filters';
import {
  floatAffine,
  floatBinary,
  floatFunction,
  floatPool,
  floatPrelu,
  int16Conv2d,
  int16Depthwise,
  int16Linear,
  quantizeInt16,
} from './int16';
import { layerNormalization } from './layer-normalization';
import { cast, concat, reshape } from './layout';
import { batchMatMul, constant } from './matmul';
import { avgPool, maxPool } from './pooling';
import { gather, linearFloat } from './real-weights';
import { pad, resizeNearest, slice, spaceDepth, transpose } from './rearrange';
import { resizeBilinear } from './resize';
import { rotate } from './rotation';
import { softmax } from './softmax';
import { isFloat, makeTensor, type ReferenceTensor } from './tensor';

/** Runs one op on int16 codes or real values; undefined for an op that has no form of its own for them. */
function runFloatOrInt16Op(
  op: Op,
  inputs: readonly ReferenceTensor[],
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor | undefined {
  const input = inputs[0]!;
  switch (op.kind) {
    case OpKind.Conv2D:
      return int16Conv2d(op, input, spec, weights);
    case OpKind.DepthwiseConv2D:
      return int16Depthwise(op, input, spec, weights);
    case OpKind.Linear:
      return int16Linear(op, input, spec, weights);
    case OpKind.Add:
    case OpKind.Mul:
    case OpKind.Sub:
    case OpKind.Maximum:
    case OpKind.Minimum:
      return floatBinary(op, input, inputs[1]!, spec);
    case OpKind.Prelu:
      return floatPrelu(op, input, spec, weights);
    case OpKind.MaxPool:
    case OpKind.AvgPool:
      return floatPool(op, input, spec);
    default:
      return undefined;
  }
}

/** Runs one op on dynamic int8 codes. */
function runDynamicOp(op: Op, input: ReferenceTensor, spec: TensorSpec, weights: Int8Array): ReferenceTensor {
  switch (op.kind) {
    case OpKind.Conv2D:
      return dynamicConv2d(op, input, spec, weights);
    case OpKind.DepthwiseConv2D:
      return dynamicDepthwise(op, input, spec, weights);
    case OpKind.Linear:
      return dynamicLinear(op, input, spec, weights);
    default:
      throw new Error(`${OpKind[op.kind]} takes no dynamic codes`);
  }
}

/** Runs one op on its inputs; `spec` tells the type, scale and zero point of the output, not its shape. */
export function runOp(
  op: Op,
  inputs: readonly ReferenceTensor[],
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const input = inputs[0]!;
  if (input?.spec.type === TensorType.DynamicInt8) return runDynamicOp(op, input, spec, weights);
  const wide = input && (isFloat(input.spec) || input.spec.type === TensorType.Int16);
  const result = wide ? runFloatOrInt16Op(op, inputs, spec, weights) : undefined;
  if (result) return result;
  switch (op.kind) {
    case OpKind.Quantize:
      return quantizeReals(input, spec);
    case OpKind.Dequantize:
      return dequantize(input, spec);
    case OpKind.Cast:
      return cast(input, spec);
    case OpKind.Conv2D:
      return conv2d(op, input, spec, weights);
    case OpKind.DepthwiseConv2D:
      return depthwiseConv2d(op, input, spec, weights);
    case OpKind.Linear:
      return linear(op, input, spec, weights);
    case OpKind.MaxPool:
      return maxPool(op, input, spec);
    case OpKind.AvgPool:
      return avgPool(op, input, spec, weights);
    case OpKind.Add:
    case OpKind.Mul:
    case OpKind.Sub:
    case OpKind.Maximum:
    case OpKind.Minimum:
      return binary(op, input, inputs[1]!, spec, weights);
    case OpKind.Concat:
      return concat(op, inputs, spec);
    case OpKind.Reshape:
      return reshape(op, input, spec);
    case OpKind.Lookup:
      return lookup(op, input, spec, weights);
    case OpKind.Softmax:
      return softmax(input, spec);
    case OpKind.LayerNormalization:
      return layerNormalization(op, input, spec, weights);
    case OpKind.Prelu:
      return prelu(op, input, spec, weights);
    case OpKind.Pad:
      return pad(op, input, spec);
    case OpKind.Slice:
      return slice(op, input, spec);
    case OpKind.Transpose:
      return transpose(op, input, spec);
    case OpKind.SpaceToDepth:
    case OpKind.DepthToSpace:
      return spaceDepth(op, input, spec);
    case OpKind.ResizeNearestNeighbor:
      return resizeNearest(op, input, spec);
    case OpKind.ResizeBilinear:
      return resizeBilinear(op, input, spec);
    case OpKind.TransposedConv2D:
      return transposedConv2d(op, input, spec, weights);
    case OpKind.BatchMatMul:
      return batchMatMul(op, input, inputs[1]!, spec, weights);
    case OpKind.Constant:
      return constant(op, spec, weights);
    case OpKind.Rotate:
      return rotate(op, input, spec);
    case OpKind.LinearFloat:
      return linearFloat(op, input, spec, weights);
    case OpKind.Gather:
      return gather(op, input, spec, weights);
    case OpKind.QuantizeInt16:
      return quantizeInt16(input, spec);
    case OpKind.QuantizeDynamic:
      return quantizeDynamic(input, spec);
    case OpKind.QuantizeGrid:
      return quantizeGrid(op, input, spec);
    case OpKind.FloatAffine:
    case OpKind.FloatGate:
      return floatAffine(op, input, spec, weights);
    case OpKind.FloatFunction:
      return floatFunction(op, input, spec);
  }
}

/**
 * Runs a program.
 *
 * @param weights the blob as `WeightsBuilder` makes it
 * @param inputs codes (int32) or floats (float32), row-major, one array per program input
 * @returns every tensor of the program by its number
 */
export function runReference(
  program: Program,
  weights: Int32Array,
  inputs: readonly TensorData[],
  inputShapes: readonly (readonly number[])[],
): ReferenceTensor[] {
  const bytes = new Int8Array(weights.buffer, weights.byteOffset, weights.byteLength);
  const tensors: ReferenceTensor[] = [];
  for (const [i, id] of program.inputs.entries()) {
    tensors[id] = makeTensor(program.tensors[id]!, inputShapes[i]!, Array.from(inputs[i]!));
  }
  for (const op of program.ops) {
    const operands = op.inputs.map((id) => tensors[id]!);
    tensors[op.output] = runOp(op, operands, program.tensors[op.output]!, bytes);
  }
  return tensors;
}
