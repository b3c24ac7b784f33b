/** The rule for the shapes of every op that has one. */
import { shapeAttr } from '../attrs';
import * as arranging from './arranging';
import * as flow from './control-flow';
import { elements, type ManyRule, type Rule, shapeOf } from './known';
import * as products from './products';
import * as windows from './windows';

const sameAsInput: Rule = (node, known) => shapeOf(known, node.inputs[0]);

const placeholder: Rule = (node, known) => {
  const entry = known.graph.inputs.find((i) => i.ref.node === node.name);
  return entry?.shape ?? shapeAttr(node, 'shape');
};

/** A model may feed it as it does other inputs; otherwise it is its default. */
const placeholderWithDefault: Rule = (node, known) => placeholder(node, known) ?? sameAsInput(node, known);

const BY_RULE: readonly (readonly [Rule, string])[] = [
  [placeholder, 'Placeholder PlaceholderV2'],
  [placeholderWithDefault, 'PlaceholderWithDefault'],
  [
    windows.convolution,
    'Conv2D _FusedConv2D Conv3D DepthwiseConv2dNative DepthwiseConv2d FusedDepthwiseConv2dNative',
  ],
  [windows.pooling, 'MaxPool AvgPool MaxPool3D AvgPool3D'],
  [windows.dilation, 'Dilation2D'],
  [windows.transposedConvolution, 'Conv2DBackpropInput'],
  [windows.blocks(false), 'SpaceToDepth'],
  [windows.blocks(true), 'DepthToSpace'],
  [windows.blocksOfBatch(false), 'SpaceToBatchND'],
  [windows.blocksOfBatch(true), 'BatchToSpaceND'],
  [windows.resize, 'ResizeBilinear ResizeNearestNeighbor'],
  [windows.cropAndResize, 'CropAndResize'],
  [products.matMul, 'MatMul _FusedMatMul BatchMatMul BatchMatMulV2'],
  [products.einsum, 'Einsum'],
  [
    products.binary,
    'Add AddV2 Sub Mul RealDiv Div DivNoNan Maximum Minimum SquaredDifference Pow FloorDiv FloorMod Mod Atan2 Complex ' +
      'Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr BitwiseAnd',
  ],
  [products.select, 'Select SelectV2'],
  [products.sumOfAll, 'AddN'],
  [products.reduction, 'Mean Sum Max Min Prod Any All EuclideanNorm'],
  [products.argument, 'ArgMax ArgMin'],
  [products.realFourier, 'RFFT'],
  [products.inverseRealFourier, 'IRFFT'],
  [products.shapeVector, 'Shape'],
  [arranging.reshape, 'Reshape'],
  [arranging.squeeze, 'Squeeze'],
  [arranging.expandDims, 'ExpandDims'],
  [arranging.concat, 'ConcatV2 Concat'],
  [arranging.pad, 'Pad PadV2 MirrorPad'],
  [arranging.transpose, 'Transpose'],
  [arranging.stridedSlice, 'StridedSlice'],
  [arranging.slice, 'Slice'],
  [arranging.pack, 'Pack'],
  [arranging.gather, 'GatherV2 Gather'],
  [arranging.gatherNd, 'GatherNd'],
  [arranging.tile, 'Tile'],
  [arranging.shapeIn(0), 'Fill RandomUniform RandomStandardNormal TruncatedNormal RandomUniformInt'],
  [arranging.shapeIn(2), 'ScatterNd'],
  [arranging.shapeIn(1), 'SparseToDense'],
  [arranging.broadcastTo, 'BroadcastTo'],
  [arranging.oneHot, 'OneHot'],
  [arranging.range, 'Range'],
  [arranging.linSpace, 'LinSpace'],
  [arranging.where, 'Where'],
  [arranging.sparseSegments, 'SparseSegmentMean SparseSegmentSum'],
  [flow.listElement, 'TensorListGetItem'],
  [flow.listStack, 'TensorListStack'],
  [flow.listGather, 'TensorListGather'],
  [flow.arrayElement, 'TensorArrayReadV3'],
  [flow.arrayGather, 'TensorArrayGatherV3'],
  [
    flow.scalar,
    'Rank Size LoopCond TensorListReserve EmptyTensorList TensorListFromTensor TensorListSetItem TensorListPushBack ' +
      'TensorListLength TensorArrayWriteV3 TensorArrayScatterV3 TensorArraySizeV3',
  ],
  [
    sameAsInput,
    'Identity Snapshot StopGradient Dropout EnsureShape Print FakeQuantWithMinMaxVars BiasAdd ' +
      'Relu Relu6 Elu Selu LeakyRelu Prelu Sigmoid Tanh Softplus Softmax LogSoftmax Erf Neg Abs Square Sqrt Rsqrt Exp ' +
      'Log Log1p Expm1 Sign Ceil Floor Round Reciprocal Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh Acosh Atanh ' +
      'IsNan IsInf IsFinite LogicalNot ClipByValue Cast Real Imag ComplexAbs FFT IFFT Cumsum Cumprod Reverse ReverseV2 ' +
      'ZerosLike OnesLike LRN FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 MatrixBandPart TensorScatterUpdate ' +
      'StaticRegexReplace StringToHashBucketFast MixtureOfExperts Enter Exit NextIteration',
  ],
  [(node, known) => shapeOf(known, node.inputs[1]), 'LookupTableFind LookupTableFindV2'],
];

export const RULES: ReadonlyMap<string, Rule> = new Map(
  BY_RULE.flatMap(([rule, ops]) => ops.split(' ').map((op): [string, Rule] => [op, rule])),
);

const identities: ManyRule = (node, known) => node.inputs.map((i) => shapeOf(known, i));

/** Ops of several outputs. */
export const MANY_RULES: ReadonlyMap<string, ManyRule> = new Map([
  ['IdentityN', identities],
  [
    'ShapeN',
    (node, known) =>
      node.inputs.map((i) => shapeOf(known, i)?.length).map((r) => (r === undefined ? r : [r])),
  ],
  ['Switch', flow.branches],
  ['Merge', flow.merge],
  ['TensorArrayV3', flow.handle],
  ['If', flow.called],
  ['StatelessIf', flow.called],
  ['While', flow.called],
  ['StatelessWhile', flow.called],
  ['Split', arranging.split],
  ['SplitV', arranging.split],
  ['Unpack', arranging.unpack],
  ['SparseReshape', arranging.sparseReshape],
  ['SparseFillEmptyRows', arranging.sparseFillEmptyRows],
  ['TopKV2', arranging.topK],
  ['MaxPoolWithArgmax', windows.poolingWithPlaces],
  ['NonMaxSuppressionV2', arranging.nonMaxSuppression],
  ['NonMaxSuppressionV3', arranging.nonMaxSuppression],
  ['NonMaxSuppressionV4', arranging.nonMaxSuppression],
  ['NonMaxSuppressionV5', arranging.nonMaxSuppression],
]);

/** The product of the sizes, open ones left out. */
export function knownElements(shape: readonly number[]): number {
  return elements(shape.map(Math.abs));
}
