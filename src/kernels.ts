/**
 * The entry `tfjs-lowbit/kernels`: every kernel as a typed function of tensors, the programs that `quantizedRegion` runs,
 * and the low-bit formats of weights. (`MixtureOfExperts` runs open experts: see `tfjs-lowbit/moe`.)
 */
import './index';

export * from '../kernels/functions';
export type { HadamardAttrs } from '../kernels/Hadamard';
export type { LinearFloatAttrs } from '../kernels/LinearFloat';
export type { MoERouteAttrs } from '../kernels/MoERoute';
export type { PiDequantAttrs } from '../kernels/PiDequant';
export type { QuantizeAttrs } from '../kernels/Quantize';
export type { QuantizedArithmeticAttrs } from '../kernels/QuantizedArithmetic';
export type { QuantizedBatchMatMulAttrs } from '../kernels/QuantizedBatchMatMul';
export type { QuantizedConcatAttrs } from '../kernels/QuantizedConcat';
export type { QuantizedConv2DAttrs } from '../kernels/QuantizedConv2D';
export type { QuantizedConv2DTransposeAttrs } from '../kernels/QuantizedConv2DTranspose';
export type { QuantizedDepthwiseAttrs } from '../kernels/QuantizedDepthwise';
export type { QuantizedGatherAttrs } from '../kernels/QuantizedGather';
export type { QuantizedLayerNormalizationAttrs } from '../kernels/QuantizedLayerNormalization';
export type {
  QuantizedPadAttrs,
  QuantizedSliceAttrs,
  QuantizedSpaceDepthAttrs,
  QuantizedTransposeAttrs,
} from '../kernels/QuantizedLayout';
export type { QuantizedLinearAttrs } from '../kernels/QuantizedLinear';
export type { QuantizedLookupAttrs } from '../kernels/QuantizedLookup';
export type { QuantizedPoolAttrs } from '../kernels/QuantizedPool';
export type { QuantizedPreluAttrs } from '../kernels/QuantizedPrelu';
export type { QuantizedResizeAttrs, QuantizedResizeBilinearAttrs } from '../kernels/QuantizedResize';
export type { QuantizedSoftmaxAttrs } from '../kernels/QuantizedSoftmax';
export type { Activation, FilterRef, Op, Padding, Program, TensorSpec, Window } from './program/program';
export {
  encodeProgram,
  OpKind,
  PaddingMode,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from './program/program';
export { bitsPerWeight } from './quantization/formats/bits-per-weight';
export { decodeMatrix, decodeValue } from './quantization/formats/decode';
export { type EncodeOptions, encodeMatrix } from './quantization/formats/encode';
export type { FormatName, LowBitMatrix } from './quantization/formats/format';
export { FORMATS } from './quantization/formats/registry';
export { type Rotation, rotateRows, rotateRowsBack, rotationBlocks } from './quantization/hadamard';
