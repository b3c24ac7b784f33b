/** The kernels as typed functions of tensors. Codes are int32 tensors, one int8 code an element. */
import * as tf from '@tensorflow/tfjs-core';
import { checkArgument } from '../src/base/errors';
import type { HadamardAttrs } from './Hadamard';
import type { LinearFloatAttrs } from './LinearFloat';
import type { MoERouteAttrs } from './MoERoute';
import type { PiDequantAttrs } from './PiDequant';
import type { QuantizeAttrs } from './Quantize';
import type { QuantizedArithmeticAttrs } from './QuantizedArithmetic';
import type { QuantizedBatchMatMulAttrs } from './QuantizedBatchMatMul';
import type { QuantizedConcatAttrs } from './QuantizedConcat';
import type { QuantizedConv2DAttrs } from './QuantizedConv2D';
import type { QuantizedConv2DTransposeAttrs } from './QuantizedConv2DTranspose';
import type { QuantizedDepthwiseAttrs } from './QuantizedDepthwise';
import type { QuantizedGatherAttrs } from './QuantizedGather';
import type { QuantizedLayerNormalizationAttrs } from './QuantizedLayerNormalization';
import type {
  QuantizedPadAttrs,
  QuantizedSliceAttrs,
  QuantizedSpaceDepthAttrs,
  QuantizedTransposeAttrs,
} from './QuantizedLayout';
import type { QuantizedLinearAttrs } from './QuantizedLinear';
import type { QuantizedLookupAttrs } from './QuantizedLookup';
import type { QuantizedPoolAttrs } from './QuantizedPool';
import type { QuantizedPreluAttrs } from './QuantizedPrelu';
import type { QuantizedResizeAttrs, QuantizedResizeBilinearAttrs } from './QuantizedResize';
import type { QuantizedSoftmaxAttrs } from './QuantizedSoftmax';

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
  return run('QuantizedConv2D', { x, ...weights }, attrs);
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
  return run('QuantizedDepthwise', { x, ...weights }, attrs);
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
  return run('QuantizedLinear', { x, ...weights }, attrs);
}

/**
 * Matrix product of float32 values with weights of 2, 3, 4 or 8 bits.
 *
 * @param x float32 [..., inFeatures]
 * @param weights as of `quantizedLinear`, but for the bias, which is float32 in real units
 * @returns float32 [..., outFeatures]
 */
export function linearFloat(x: tf.Tensor, weights: QuantizedFilter, attrs: LinearFloatAttrs): tf.Tensor {
  return run('LinearFloat', { x, ...weights }, attrs);
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
  return run('QuantizedGather', { indices, ...weights }, attrs);
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
  return run('QuantizedConv2DTranspose', { x, ...weights }, attrs);
}

/** Matrix product of two tensors of codes on their last two axes; codes or float32. */
export function quantizedBatchMatMul(
  a: tf.Tensor,
  b: tf.Tensor,
  attrs: QuantizedBatchMatMulAttrs,
): tf.Tensor {
  return run('QuantizedBatchMatMul', { a, b }, attrs);
}

/** Maximum over windows of codes, NHWC; padding takes no part. */
export function quantizedMaxPool(x: tf.Tensor, attrs: QuantizedPoolAttrs): tf.Tensor {
  return run('QuantizedMaxPool', { x }, attrs);
}

/** Mean over windows of codes, NHWC, without the padding; codes or float32. */
export function quantizedAvgPool(x: tf.Tensor, attrs: QuantizedPoolAttrs): tf.Tensor {
  return run('QuantizedAvgPool', { x }, attrs);
}

/** a + b of codes, each with its own scale, with broadcasting. */
export function quantizedAdd(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run('QuantizedAdd', { a, b }, attrs);
}

/** a * b of codes, each with its own scale, with broadcasting. */
export function quantizedMul(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run('QuantizedMul', { a, b }, attrs);
}

/** a - b of codes, each with its own scale, with broadcasting. */
export function quantizedSub(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run('QuantizedSub', { a, b }, attrs);
}

/** The greater of a and b, codes with a scale each, with broadcasting. */
export function quantizedMaximum(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run('QuantizedMaximum', { a, b }, attrs);
}

/** The lesser of a and b, codes with a scale each, with broadcasting. */
export function quantizedMinimum(a: tf.Tensor, b: tf.Tensor, attrs: QuantizedArithmeticAttrs): tf.Tensor {
  return run('QuantizedMinimum', { a, b }, attrs);
}

/**
 * x where x >= 0, alpha * x elsewhere.
 *
 * @param x codes [..., channels]
 * @param alpha float32, one number a channel
 */
export function quantizedPrelu(x: tf.Tensor, alpha: tf.Tensor, attrs: QuantizedPreluAttrs): tf.Tensor {
  return run('QuantizedPrelu', { x, alpha }, attrs);
}

/** Bilinear interpolation of codes, NHWC; codes or float32. */
export function quantizedResizeBilinear(x: tf.Tensor, attrs: QuantizedResizeBilinearAttrs): tf.Tensor {
  return run('QuantizedResizeBilinear', { x }, attrs);
}

/** The codes of the nearest pixels, NHWC. */
export function quantizedResizeNearestNeighbor(x: tf.Tensor, attrs: QuantizedResizeAttrs): tf.Tensor {
  return run('QuantizedResizeNearestNeighbor', { x }, attrs);
}

/** Codes around a tensor: one code, or the tensor mirrored. */
export function quantizedPad(x: tf.Tensor, attrs: QuantizedPadAttrs): tf.Tensor {
  return run('QuantizedPad', { x }, attrs);
}

/** A part of a tensor of codes, with positive strides. */
export function quantizedSlice(x: tf.Tensor, attrs: QuantizedSliceAttrs): tf.Tensor {
  return run('QuantizedSlice', { x }, attrs);
}

/** A tensor of codes with its axes in another order. */
export function quantizedTranspose(x: tf.Tensor, attrs: QuantizedTransposeAttrs): tf.Tensor {
  return run('QuantizedTranspose', { x }, attrs);
}

/** Blocks of pixels as channels, NHWC. */
export function quantizedSpaceToDepth(x: tf.Tensor, attrs: QuantizedSpaceDepthAttrs): tf.Tensor {
  return run('QuantizedSpaceToDepth', { x }, attrs);
}

/** Channels as blocks of pixels, NHWC. */
export function quantizedDepthToSpace(x: tf.Tensor, attrs: QuantizedSpaceDepthAttrs): tf.Tensor {
  return run('QuantizedDepthToSpace', { x }, attrs);
}

/** Concatenation of tensors of codes, rescaled to the scale of the output. */
export function quantizedConcat(tensors: readonly tf.Tensor[], attrs: QuantizedConcatAttrs): tf.Tensor {
  checkArgument(tensors.length > 0, 'tensors', 'at least one tensor', 'none');
  return run('QuantizedConcat', Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor])), attrs);
}

/** A pointwise function of codes through a table of 256 entries; codes or float32. */
export function quantizedLookup(x: tf.Tensor, attrs: QuantizedLookupAttrs): tf.Tensor {
  return run('QuantizedLookup', { x }, attrs);
}

/** Softmax along the last axis of codes or float32; codes or float32. */
export function quantizedSoftmax(x: tf.Tensor, attrs: QuantizedSoftmaxAttrs): tf.Tensor {
  return run('QuantizedSoftmax', { x }, attrs);
}

/** Layer normalization along the last axis of codes or float32; codes or float32. */
export function quantizedLayerNormalization(
  x: tf.Tensor,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  attrs: QuantizedLayerNormalizationAttrs,
): tf.Tensor {
  return run('QuantizedLayerNormalization', { x, gamma, beta }, attrs);
}

/** The numbers of a matrix of 2, 3 or 4 bits: `codes` and `scales` (float16 bits) as `packBytes` makes them. */
export function piDequant(codes: tf.Tensor, scales: tf.Tensor, attrs: PiDequantAttrs): tf.Tensor {
  return run('PiDequant', { codes, scales }, attrs);
}

/** Rotates float32 values or codes along the last axis. */
export function hadamard(x: tf.Tensor, attrs: HadamardAttrs): tf.Tensor {
  return run('Hadamard', { x }, attrs);
}

/** float32 -> int32 codes. */
export function quantize(x: tf.Tensor, attrs: QuantizeAttrs): tf.Tensor {
  return run('Quantize', { x }, attrs);
}

/** int32 codes -> float32. */
export function dequantize(x: tf.Tensor, attrs: QuantizeAttrs): tf.Tensor {
  return run('Dequantize', { x }, attrs);
}

/**
 * Runs a whole program.
 *
 * @param inputs float32 activations, by the program's inputs
 * @param program int32 words of `encodeProgram`; the compiled program lives as long as this tensor and `weights`
 * @param weights int32, what `WeightsBuilder` built
 */
export function quantizedRegion(
  inputs: readonly tf.Tensor[],
  program: tf.Tensor,
  weights: tf.Tensor,
): tf.Tensor[] {
  const named = Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor]));
  return tf.engine().runKernel('QuantizedRegion', { ...named, program, weights }) as unknown as tf.Tensor[];
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
    .runKernel('MoERoute', inputs, attrs as unknown as tf.NamedAttrMap) as unknown as tf.Tensor2D[];
  return { ids, weights };
}
