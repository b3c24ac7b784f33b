import type { Shapes } from '../../../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import type { Bounds } from '../../../quantization/activation';
import type { ChannelAffine } from '../../fold-batch-norm';
import type { ProgramBuilder } from '../lower/program-builder';
import type { Store } from '../lower/store';

/**
 * How a layer multiplies float32 activations: as int16 codes with int16 weights, or as int8 codes with INT8 weights. In
 * either case the scales of the activations fit the values at hand.
 */
export type ActivationPrecision = 'int16' | 'dynamic';

/** How a node with float32 input and output is lowered. */
export interface FloatForm {
  /** How it multiplies, if it has weights. */
  readonly precision: ActivationPrecision;
  /** Bounds of the result, where a node that only clamps is fused into this one. */
  readonly clamp?: Bounds;
}

/** What is known of the graph while nodes are matched. */
export interface Facts {
  readonly graph: Graph;
  readonly shapes: Shapes;
}

interface Matched {
  /** Tensors that it reads as int8 codes; its constants are not among them. */
  readonly activations: readonly TensorRef[];
  /** Appends its ops with float32 input and output; absent: it has only a form on int8 codes. */
  lowerFloat?(builder: ProgramBuilder, result: TensorRef, form: FloatForm): void;
}

interface Lowered extends Matched {
  /** Appends its ops on int8 codes. */
  lower(builder: ProgramBuilder, store: Store): void;
}

/** Multiplies by constant weights: what a region must have to be worth its borders. */
export interface WeightedLayer extends Lowered {
  readonly kind: 'weighted';
  /** Its sums do not fit the accumulator with int16 activations. */
  readonly overflowsInt16?: boolean;
  /** The layer followed by a scale and shift of each channel, as one layer; absent: its weights cannot take them. */
  fuseAffine?(affine: ChannelAffine): WeightedLayer;
  /** Where such a scale and shift is fused: the node of the layer itself. The result is that of the scale and shift. */
  readonly layerNode?: GraphNode;
}

/** A product of two matrices, neither of which is the weights of a layer. */
export interface MatrixProduct extends Lowered {
  readonly kind: 'matrixProduct';
}

/** A sum, difference, product, maximum or minimum of two tensors. */
export interface Elementwise extends Lowered {
  readonly kind: 'elementwise';
}

/** y = scale[c] * x + shift[c] for channel c. */
export interface ChannelAffineOp extends Lowered {
  readonly kind: 'channelAffine';
  readonly affine: ChannelAffine;
}

/** A function of one number: a table over codes, or fused into the store of the op that computes its argument. */
export interface PointwiseFunction extends Matched {
  readonly kind: 'pointwise';
  readonly f: (x: number) => number;
  /** Its bounds, if it only clamps. */
  readonly clamp?: Bounds;
  /** Its small results differ by less than a code (probabilities), so that an output of the model is computed in float. */
  readonly squashes?: boolean;
}

/**
 * A pool or a resize: each result is an average of some values of one channel, or selected from them. What is selected
 * keeps its code.
 */
export interface Resampling extends Lowered {
  readonly kind: 'averaging' | 'selecting';
}

/** A leaky rectifier with a slope for each channel. */
export interface Prelu extends Lowered {
  readonly kind: 'prelu';
}

export interface Softmax extends Lowered {
  readonly kind: 'softmax';
}

/** Joins tensors along an axis. */
export interface Concat extends Lowered {
  readonly kind: 'concat';
}

/** Renames dimensions and keeps the data as it is. */
export interface Reshape extends Lowered {
  readonly kind: 'reshape';
}

/** Moves elements (pad, slice, transpose, space to depth and back); codes keep their scale and zero point. */
export interface Layout extends Lowered {
  readonly kind: 'layout';
}

/** A node that is an op of the program on its own. */
export type QuantizableOp =
  | WeightedLayer
  | MatrixProduct
  | Elementwise
  | ChannelAffineOp
  | Resampling
  | Prelu
  | Softmax
  | Concat
  | Reshape
  | Layout;

/** A node that has a form in the quantized program. */
export type Quantizable = QuantizableOp | PointwiseFunction;

/** A node that can be lowered with float32 input and output. */
export type FloatCapable = Quantizable & Required<Pick<Matched, 'lowerFloat'>>;

export function isFloatCapable(quantizable: Quantizable): quantizable is FloatCapable {
  return quantizable.lowerFloat !== undefined;
}

/** A quantizable node; why the node cannot be quantized; or undefined for a node of another matcher. */
export type Matcher = (node: GraphNode, facts: Facts) => Quantizable | string | undefined;
