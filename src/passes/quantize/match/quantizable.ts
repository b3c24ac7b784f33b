import type { Shapes } from '../../../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import type { Bounds } from '../../../quantization/activation';
import type { ChannelAffine } from '../../fold-batch-norm';
import type { ProgramBuilder, Store } from '../lower/program-builder';

/**
 * How a layer multiplies real values: as int16 codes with int16 weights, or as int8 codes with INT8 weights, in either case
 * with scales that fit the values at hand.
 */
export type ActivationPrecision = 'int16' | 'dynamic';

/** What a node on real values is told. */
export interface FloatForm {
  /** How it multiplies, if it has weights. */
  readonly precision: ActivationPrecision;
  /** Bounds of the result, of what `fuses` only: a node that clamps it, and does nothing else, is fused into it. */
  readonly clamp?: Bounds;
}

/** What is known of the graph while nodes are matched. */
export interface Facts {
  readonly graph: Graph;
  readonly shapes: Shapes;
}

/** A node that has a form in the quantized program. */
export interface Quantizable {
  /** Tensors that it reads as int8 codes. */
  readonly activations: readonly TensorRef[];
  /** Multiplies by weights: what a region must have to be worth its borders. */
  readonly weighted?: boolean;
  /** Why it is better computed in float where nothing quantized reads it: it does not end a region. */
  readonly floatAtEnd?: string;
  /**
   * A layer with int16 or dynamic activations reads and stores real values: appends its ops, result included. Absent: it
   * cannot.
   */
  lowerFloat?(builder: ProgramBuilder, result: TensorRef, form: FloatForm): void;
  /** Its sums would not fit with int16 activations. */
  readonly overflowsInt16?: boolean;
  /** A function of one real number, with its bounds if it only clamps; tabulated, or fused into what it reads. */
  readonly pointwise?: { f: (x: number) => number; clamp?: Bounds };
  /** May take a following pointwise function into its store. */
  readonly fuses?: boolean;
  /** Only moves its activations: those that nothing else reads are best stored with its own scale from the start. */
  readonly movesOnly?: boolean;
  /** May store real values instead of codes; or may if what it reads is stored so. */
  readonly storesFloat?: boolean | 'as read';
  /** Reads real values, if there are any, where it stores real values. */
  readonly readsFloat?: boolean;
  /** What it does to each channel, if that is a scale and a shift. */
  readonly affine?: ChannelAffine;
  /** The same with a scale and a shift of each channel of its result. */
  withAffine?(affine: ChannelAffine): Quantizable;
  /** The node, other than its own, whose result it changes and which it computes on the way. */
  readonly computes?: GraphNode;
  /** Appends its ops to a program; absent for a pointwise function. */
  lower?(builder: ProgramBuilder, store: Store): void;
}

/** A quantizable node, the reason why it is none, or undefined for a node that the matcher does not speak for. */
export type Matcher = (node: GraphNode, facts: Facts) => Quantizable | string | undefined;
