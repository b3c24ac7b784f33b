/** The kernels as typed functions of tensors. Codes are int32 tensors, one int8 code an element. */
import * as tf from '@tensorflow/tfjs-core';
import { checkArgument } from '../src/base/errors';
import { type HadamardAttrs, hadamard as hadamardKernel } from './Hadamard';
import { type LinearFloatAttrs, linearFloat as linearFloatKernel } from './LinearFloat';
import { type MoERouteAttrs, moeRoute as moeRouteKernel } from './MoERoute';
import { type PiDequantAttrs, piDequant as piDequantKernel } from './PiDequant';
import { dequantize as dequantizeKernel, type QuantizeAttrs, quantize as quantizeKernel } from './Quantize';
import * as arithmetic from './QuantizedArithmetic';
import {
  quantizedBatchMatMul as batchMatMulKernel,
  type QuantizedBatchMatMulAttrs,
} from './QuantizedBatchMatMul';
import { quantizedConcat as concatKernel, type QuantizedConcatAttrs } from './QuantizedConcat';
import { type QuantizedConv2DAttrs, quantizedConv2D } from './QuantizedConv2D';
import { type QuantizedConv2DTransposeAttrs, quantizedConv2DTranspose } from './QuantizedConv2DTranspose';
import { quantizedDepthwise as depthwiseKernel, type QuantizedDepthwiseAttrs } from './QuantizedDepthwise';
import { quantizedGather as gatherKernel, type QuantizedGatherAttrs } from './QuantizedGather';
import * as layout from './QuantizedLayout';
import { quantizedLinear as linearKernel, type QuantizedLinearAttrs } from './QuantizedLinear';
import { quantizedLookup as lookupKernel, type QuantizedLookupAttrs } from './QuantizedLookup';
import * as pool from './QuantizedPool';
import { quantizedPrelu as preluKernel, type QuantizedPreluAttrs } from './QuantizedPrelu';
import { quantizedRegion as regionKernel } from './QuantizedRegion';
import * as resize from './QuantizedResize';
import { type QuantizedSoftmaxAttrs, quantizedSoftmax as softmaxKernel } from './QuantizedSoftmax';

/** A filter with its scales and bias, as the weighted kernels take them. */
export interface QuantizedFilter {
  /** int32: packed int8 bytes (see `packInt8`); with a `weightFormat` packed codes (see `packBytes`). */
  filter: tf.Tensor;
  /** float32, one an output channel; with a `weightFormat` int32: packed float16 bits, [outputs][groups]. */
  filterScale: tf.Tensor;
  /** int32, one an output channel, at scale inputScale * filterScale; with a `weightFormat` float32. */
  bias: tf.Tensor;
}

function run(name: string, inputs: tf.NamedTensorMap, attrs: object): tf.Tensor {
  return tf.engine().runKernel(name, inputs, attrs as tf.NamedAttrMap) as tf.Tensor;
}

/**
 * Packs int8 values four to an int32 word, as filters travel through TF.js.
 *
 * @returns int32 tensor [ceil(length / 4)]
 */
export function packInt8(values: Int8Array): tf.Tensor1D {
  checkArgument(
    Object.prototype.toString.call(values) === '[object Int8Array]',
    'values',
    'an Int8Array',
    values,
  );
  return packBytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/**
 * Packs bytes four to an int32 word, as codes of low-bit filters and the bits of their float16 scales travel.
 *
 * @returns int32 tensor [ceil(byteLength / 4)]
 */
export function packBytes(values: Uint8Array | Uint16Array): tf.Tensor1D {
  checkArgument(ArrayBuffer.isView(values), 'values', 'a Uint8Array or a Uint16Array', values);
  const words = new Int32Array(Math.ceil(values.byteLength / 4));
  new Uint8Array(words.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return tf.tensor1d(words, 'int32');
}

/** @see quantizedConv2D */
export function quantizedConv2d(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedConv2DAttrs,
): tf.Tensor {
  return run(quantizedConv2D.name, { x, ...weights }, attrs);
}

export function quantizedDepthwise(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedDepthwiseAttrs,
): tf.Tensor {
  return run(depthwiseKernel.name, { x, ...weights }, attrs);
}

export function quantizedLinear(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedLinearAttrs,
): tf.Tensor {
  return run(linearKernel.name, { x, ...weights }, attrs);
}

/** @param weights as of `quantizedLinear`, but for the bias, which is float32 in real units */
export function linearFloat(x: tf.Tensor, weights: QuantizedFilter, attrs: LinearFloatAttrs): tf.Tensor {
  return run(linearFloatKernel.name, { x, ...weights }, attrs);
}

export function quantizedGather(
  indices: tf.Tensor,
  weights: Omit<QuantizedFilter, 'bias'>,
  attrs: QuantizedGatherAttrs,
): tf.Tensor {
  return run(gatherKernel.name, { indices, ...weights }, attrs);
}

export function quantizedConv2dTranspose(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedConv2DTransposeAttrs,
): tf.Tensor {
  return run(quantizedConv2DTranspose.name, { x, ...weights }, attrs);
}

export function quantizedBatchMatMul(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: QuantizedBatchMatMulAttrs,
): tf.Tensor {
  return run(batchMatMulKernel.name, { a, b }, attrs);
}

export function quantizedMaxPool(x: tf.Tensor, attrs: pool.QuantizedPoolAttrs): tf.Tensor {
  return run(pool.quantizedMaxPool.name, { x }, attrs);
}

export function quantizedAvgPool(x: tf.Tensor, attrs: pool.QuantizedPoolAttrs): tf.Tensor {
  return run(pool.quantizedAvgPool.name, { x }, attrs);
}

export function quantizedAdd(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: arithmetic.QuantizedArithmeticAttrs,
): tf.Tensor {
  return run(arithmetic.quantizedAdd.name, { a, b }, attrs);
}

export function quantizedMul(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: arithmetic.QuantizedArithmeticAttrs,
): tf.Tensor {
  return run(arithmetic.quantizedMul.name, { a, b }, attrs);
}

export function quantizedSub(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: arithmetic.QuantizedArithmeticAttrs,
): tf.Tensor {
  return run(arithmetic.quantizedSub.name, { a, b }, attrs);
}

export function quantizedMaximum(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: arithmetic.QuantizedArithmeticAttrs,
): tf.Tensor {
  return run(arithmetic.quantizedMaximum.name, { a, b }, attrs);
}

export function quantizedMinimum(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: arithmetic.QuantizedArithmeticAttrs,
): tf.Tensor {
  return run(arithmetic.quantizedMinimum.name, { a, b }, attrs);
}

/** @param alpha float32, one number a channel */
export function quantizedPrelu(x: tf.Tensor, alpha: tf.Tensor, attrs: QuantizedPreluAttrs): tf.Tensor {
  return run(preluKernel.name, { x, alpha }, attrs);
}

export function quantizedResizeBilinear(x: tf.Tensor, attrs: resize.QuantizedResizeBilinearAttrs): tf.Tensor {
  return run(resize.quantizedResizeBilinear.name, { x }, attrs);
}

export function quantizedResizeNearestNeighbor(x: tf.Tensor, attrs: resize.QuantizedResizeAttrs): tf.Tensor {
  return run(resize.quantizedResizeNearestNeighbor.name, { x }, attrs);
}

export function quantizedPad(x: tf.Tensor, attrs: layout.QuantizedPadAttrs): tf.Tensor {
  return run(layout.quantizedPad.name, { x }, attrs);
}

export function quantizedSlice(x: tf.Tensor, attrs: layout.QuantizedSliceAttrs): tf.Tensor {
  return run(layout.quantizedSlice.name, { x }, attrs);
}

export function quantizedTranspose(x: tf.Tensor, attrs: layout.QuantizedTransposeAttrs): tf.Tensor {
  return run(layout.quantizedTranspose.name, { x }, attrs);
}

export function quantizedSpaceToDepth(x: tf.Tensor, attrs: layout.QuantizedSpaceDepthAttrs): tf.Tensor {
  return run(layout.quantizedSpaceToDepth.name, { x }, attrs);
}

export function quantizedDepthToSpace(x: tf.Tensor, attrs: layout.QuantizedSpaceDepthAttrs): tf.Tensor {
  return run(layout.quantizedDepthToSpace.name, { x }, attrs);
}

export function quantizedConcat(tensors: readonly tf.Tensor[], attrs: QuantizedConcatAttrs): tf.Tensor {
  checkArgument(tensors.length > 0, 'tensors', 'at least one tensor', 'none');
  return run(concatKernel.name, Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor])), attrs);
}

export function quantizedLookup(x: tf.Tensor, attrs: QuantizedLookupAttrs): tf.Tensor {
  return run(lookupKernel.name, { x }, attrs);
}

export function quantizedSoftmax(x: tf.Tensor, attrs: QuantizedSoftmaxAttrs): tf.Tensor {
  return run(softmaxKernel.name, { x }, attrs);
}

/** The numbers of a matrix of 2, 3 or 4 bits: `codes` and `scales` (float16 bits) as `packBytes` makes them. */
export function piDequant(codes: tf.Tensor, scales: tf.Tensor, attrs: PiDequantAttrs): tf.Tensor {
  return run(piDequantKernel.name, { codes, scales }, attrs);
}

/** Rotates float32 values or codes along the last axis. */
export function hadamard(x: tf.Tensor, attrs: HadamardAttrs): tf.Tensor {
  return run(hadamardKernel.name, { x }, attrs);
}

/** float32 -> int32 codes. */
export function quantize(x: tf.Tensor, attrs: QuantizeAttrs): tf.Tensor {
  return run(quantizeKernel.name, { x }, attrs);
}

/** int32 codes -> float32. */
export function dequantize(x: tf.Tensor, attrs: QuantizeAttrs): tf.Tensor {
  return run(dequantizeKernel.name, { x }, attrs);
}

/**
 * Runs a whole program.
 *
 * @param inputs float32 activations, by the program's inputs
 * @param program int32 words of `encodeProgram`; the compiled program lives as long as this tensor
 * @param weights int32, what `WeightsBuilder` built
 */
export function quantizedRegion(
  inputs: readonly tf.Tensor[],
  program: tf.Tensor,
  weights: tf.Tensor,
): tf.Tensor[] {
  const named = Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor]));
  return tf.engine().runKernel(regionKernel.name, { ...named, program, weights }) as unknown as tf.Tensor[];
}

/**
 * Chooses the experts of each token of `logits` [tokens, experts].
 *
 * @returns expert ids [tokens, topK] with falling score, and their gate weights [tokens, topK]
 * @see moeRoute
 */
export function moeRoute(
  logits: tf.Tensor2D,
  attrs: MoERouteAttrs,
  { resident, bias }: { resident?: tf.Tensor1D; bias?: tf.Tensor1D } = {},
): { ids: tf.Tensor2D; weights: tf.Tensor2D } {
  const inputs = { logits, ...(resident && { resident }), ...(bias && { bias }) };
  const [ids, weights] = tf
    .engine()
    .runKernel(moeRouteKernel.name, inputs, attrs as unknown as tf.NamedAttrMap) as unknown as tf.Tensor2D[];
  return { ids, weights };
}
