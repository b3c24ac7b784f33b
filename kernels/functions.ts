/** The kernels as typed functions of tensors. Codes are int32 tensors, one int8 code an element. */
import * as tf from '@tensorflow/tfjs-core';
import { checkArgument } from '../src/base/errors';
import { type HadamardAttrs, hadamardKernel } from './Hadamard';
import { type LinearFloatAttrs, linearFloatKernel } from './LinearFloat';
import { type MoERouteAttrs, moeRouteKernel } from './MoERoute';
import { type PiDequantAttrs, piDequantKernel } from './PiDequant';
import { dequantizeKernel, type QuantizeAttrs, quantizeKernel } from './Quantize';
import {
  type QuantizedArithmeticAttrs,
  quantizedAddKernel,
  quantizedMaximumKernel,
  quantizedMinimumKernel,
  quantizedMulKernel,
  quantizedSubKernel,
} from './QuantizedArithmetic';
import { type QuantizedBatchMatMulAttrs, quantizedBatchMatMulKernel } from './QuantizedBatchMatMul';
import { type QuantizedConcatAttrs, quantizedConcatKernel } from './QuantizedConcat';
import { type QuantizedConv2DAttrs, quantizedConv2DKernel } from './QuantizedConv2D';
import {
  type QuantizedConv2DTransposeAttrs,
  quantizedConv2DTransposeKernel,
} from './QuantizedConv2DTranspose';
import { type QuantizedDepthwiseAttrs, quantizedDepthwiseKernel } from './QuantizedDepthwise';
import { type QuantizedGatherAttrs, quantizedGatherKernel } from './QuantizedGather';
import {
  type QuantizedLayerNormalizationAttrs,
  quantizedLayerNormalizationKernel,
} from './QuantizedLayerNormalization';
import {
  type QuantizedPadAttrs,
  type QuantizedSliceAttrs,
  type QuantizedSpaceDepthAttrs,
  type QuantizedTransposeAttrs,
  quantizedDepthToSpaceKernel,
  quantizedPadKernel,
  quantizedSliceKernel,
  quantizedSpaceToDepthKernel,
  quantizedTransposeKernel,
} from './QuantizedLayout';
import { type QuantizedLinearAttrs, quantizedLinearKernel } from './QuantizedLinear';
import { type QuantizedLookupAttrs, quantizedLookupKernel } from './QuantizedLookup';
import { type QuantizedPoolAttrs, quantizedAvgPoolKernel, quantizedMaxPoolKernel } from './QuantizedPool';
import { type QuantizedPreluAttrs, quantizedPreluKernel } from './QuantizedPrelu';
import { quantizedRegionKernel } from './QuantizedRegion';
import {
  type QuantizedResizeAttrs,
  type QuantizedResizeBilinearAttrs,
  quantizedResizeBilinearKernel,
  quantizedResizeNearestNeighborKernel,
} from './QuantizedResize';
import { type QuantizedSoftmaxAttrs, quantizedSoftmaxKernel } from './QuantizedSoftmax';

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

/**
 * Convolution.
 *
 * @param x codes [batch, height, width, inChannels]
 * @returns codes, or without an `outputScale` float32, [batch, height, width, outChannels]
 */
export function quantizedConv2D(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedConv2DAttrs,
): tf.Tensor {
  return run(quantizedConv2DKernel.name, { x, ...weights }, attrs);
}

/**
 * Depthwise convolution; output channel c * multiplier + j reads input channel c.
 *
 * @param x codes [batch, height, width, channels]
 * @returns codes or float32 [batch, height, width, channels * multiplier]
 */
export function quantizedDepthwise(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedDepthwiseAttrs,
): tf.Tensor {
  return run(quantizedDepthwiseKernel.name, { x, ...weights }, attrs);
}

/**
 * Matrix product with a filter [outFeatures, inFeatures].
 *
 * @param x codes [..., inFeatures]
 * @returns codes or float32 [..., outFeatures]
 */
export function quantizedLinear(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedLinearAttrs,
): tf.Tensor {
  return run(quantizedLinearKernel.name, { x, ...weights }, attrs);
}

/**
 * Matrix product of float32 values with weights of 2, 3, 4 or 8 bits.
 *
 * @param x float32 [..., inFeatures]
 * @param weights as of `quantizedLinear`, but for the bias, which is float32 in real units
 * @returns float32 [..., outFeatures]
 */
export function linearFloat(x: tf.Tensor, weights: QuantizedFilter, attrs: LinearFloatAttrs): tf.Tensor {
  return run(linearFloatKernel.name, { x, ...weights }, attrs);
}

/**
 * Rows of a matrix: an embedding lookup.
 *
 * @param indices int32 [...]
 * @returns codes or float32 [..., depth]
 */
export function quantizedGather(
  indices: tf.Tensor,
  weights: Omit<QuantizedFilter, 'bias'>,
  attrs: QuantizedGatherAttrs,
): tf.Tensor {
  return run(quantizedGatherKernel.name, { indices, ...weights }, attrs);
}

/**
 * Transposed convolution; filter [outChannels, kernel height, kernel width, inChannels].
 *
 * @param x codes [batch, height, width, inChannels]
 * @returns codes or float32 [batch, height, width, outChannels]
 */
export function quantizedConv2DTranspose(
  x: tf.Tensor,
  weights: QuantizedFilter,
  attrs: QuantizedConv2DTransposeAttrs,
): tf.Tensor {
  return run(quantizedConv2DTransposeKernel.name, { x, ...weights }, attrs);
}

/** Matrix product of two tensors of codes on their last two axes; codes or float32. */
export function quantizedBatchMatMul(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: QuantizedBatchMatMulAttrs,
): tf.Tensor {
  return run(quantizedBatchMatMulKernel.name, { a, b }, attrs);
}

/** Maximum over windows of codes, NHWC; padding takes no part. */
export function quantizedMaxPool(x: tf.Tensor, attrs: QuantizedPoolAttrs): tf.Tensor {
  return run(quantizedMaxPoolKernel.name, { x }, attrs);
}

/** Mean over windows of codes, NHWC, without the padding; codes or float32. */
export function quantizedAvgPool(x: tf.Tensor, attrs: QuantizedPoolAttrs): tf.Tensor {
  return run(quantizedAvgPoolKernel.name, { x }, attrs);
}

/** a + b of codes, each with its own scale, with broadcasting. */
export function quantizedAdd(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run(quantizedAddKernel.name, { a, b }, attrs);
}

/** a * b of codes, each with its own scale, with broadcasting. */
export function quantizedMul(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run(quantizedMulKernel.name, { a, b }, attrs);
}

/** a - b of codes, each with its own scale, with broadcasting. */
export function quantizedSub(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run(quantizedSubKernel.name, { a, b }, attrs);
}

/** The greater of a and b, codes with a scale each, with broadcasting. */
export function quantizedMaximum(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run(quantizedMaximumKernel.name, { a, b }, attrs);
}

/** The lesser of a and b, codes with a scale each, with broadcasting. */
export function quantizedMinimum(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run(quantizedMinimumKernel.name, { a, b }, attrs);
}

/**
 * x where x >= 0, alpha * x elsewhere.
 *
 * @param x codes [..., channels]
 * @param alpha float32, one number a channel
 */
export function quantizedPrelu(x: tf.Tensor, alpha: tf.Tensor, attrs: QuantizedPreluAttrs): tf.Tensor {
  return run(quantizedPreluKernel.name, { x, alpha }, attrs);
}

/** Bilinear interpolation of codes, NHWC; codes or float32. */
export function quantizedResizeBilinear(x: tf.Tensor, attrs: QuantizedResizeBilinearAttrs): tf.Tensor {
  return run(quantizedResizeBilinearKernel.name, { x }, attrs);
}

/** The codes of the nearest pixels, NHWC. */
export function quantizedResizeNearestNeighbor(x: tf.Tensor, attrs: QuantizedResizeAttrs): tf.Tensor {
  return run(quantizedResizeNearestNeighborKernel.name, { x }, attrs);
}

/** Codes around a tensor: one code, or the tensor mirrored. */
export function quantizedPad(x: tf.Tensor, attrs: QuantizedPadAttrs): tf.Tensor {
  return run(quantizedPadKernel.name, { x }, attrs);
}

/** A part of a tensor of codes, with positive strides. */
export function quantizedSlice(x: tf.Tensor, attrs: QuantizedSliceAttrs): tf.Tensor {
  return run(quantizedSliceKernel.name, { x }, attrs);
}

/** A tensor of codes with its axes in another order. */
export function quantizedTranspose(x: tf.Tensor, attrs: QuantizedTransposeAttrs): tf.Tensor {
  return run(quantizedTransposeKernel.name, { x }, attrs);
}

/** Blocks of pixels as channels, NHWC. */
export function quantizedSpaceToDepth(x: tf.Tensor, attrs: QuantizedSpaceDepthAttrs): tf.Tensor {
  return run(quantizedSpaceToDepthKernel.name, { x }, attrs);
}

/** Channels as blocks of pixels, NHWC. */
export function quantizedDepthToSpace(x: tf.Tensor, attrs: QuantizedSpaceDepthAttrs): tf.Tensor {
  return run(quantizedDepthToSpaceKernel.name, { x }, attrs);
}

/** Concatenation of tensors of codes, rescaled to the scale of the output. */
export function quantizedConcat(tensors: readonly tf.Tensor[], attrs: QuantizedConcatAttrs): tf.Tensor {
  checkArgument(tensors.length > 0, 'tensors', 'at least one tensor', 'none');
  return run(
    quantizedConcatKernel.name,
    Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor])),
    attrs,
  );
}

/** A pointwise function of codes through a table of 256 entries; codes or float32. */
export function quantizedLookup(x: tf.Tensor, attrs: QuantizedLookupAttrs): tf.Tensor {
  return run(quantizedLookupKernel.name, { x }, attrs);
}

/** Softmax along the last axis of codes or float32; codes or float32. */
export function quantizedSoftmax(x: tf.Tensor, attrs: QuantizedSoftmaxAttrs): tf.Tensor {
  return run(quantizedSoftmaxKernel.name, { x }, attrs);
}

/** Layer normalization along the last axis of codes or float32; codes or float32. */
export function quantizedLayerNormalization(
  x: tf.Tensor,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  attrs: QuantizedLayerNormalizationAttrs,
): tf.Tensor {
  return run(quantizedLayerNormalizationKernel.name, { x, gamma, beta }, attrs);
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
  return tf
    .engine()
    .runKernel(quantizedRegionKernel.name, { ...named, program, weights }) as unknown as tf.Tensor[];
}

/**
 * Chooses the experts of each token of `logits` [tokens, experts].
 *
 * @returns expert ids [tokens, topK] with falling score, and their gate weights [tokens, topK]
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
