/** How each op is drawn. An op that TF.js refuses where it is drawn is discarded, so that templates may be careless. */
import { ARRANGING } from './arranging';
import { BINARY } from './binary';
import { FLOW } from './control-flow';
import { PATTERNS } from './patterns';
import { PRODUCTS } from './products';
import { REDUCTIONS } from './reductions';
import { SPARSE } from './sparse';
import type { Table } from './template';
import { UNARY } from './unary';
import { WINDOWS } from './windows';

/** By op; and patterns of several, by name. */
export const TEMPLATES: Table = {
  ...UNARY,
  ...BINARY,
  ...WINDOWS,
  ...PRODUCTS,
  ...REDUCTIONS,
  ...ARRANGING,
  ...SPARSE,
  ...FLOW,
  ...PATTERNS,
};

/** What real networks are made of. */
export const COMMON: readonly string[] = [
  ...'Conv2D Conv2D Conv2D _FusedConv2D _FusedConv2D DepthwiseConv2dNative FusedDepthwiseConv2dNative'.split(
    ' ',
  ),
  ...'MatMul MatMul MatMul _FusedMatMul BatchMatMulV2 BatchMatMulV2 Conv2DBackpropInput'.split(' '),
  ...'MaxPool AvgPool Mean FusedBatchNormV3 AddV2 AddV2 Mul Sub Maximum Relu Relu6 LeakyRelu Prelu Sigmoid Tanh'.split(
    ' ',
  ),
  ...'Elu Softmax Reshape Reshape ConcatV2 ConcatV2 Split SplitV Unpack Pad Transpose StridedSlice Slice'.split(
    ' ',
  ),
  ...'ResizeBilinear ResizeNearestNeighbor Squeeze ExpandDims Shape'.split(' '),
  ...Object.keys(PATTERNS),
];
