/** What is known of a graph's tensors while their shapes are inferred, and how rules look it up. */
import { LowbitError } from '../../base/errors';
import { constantOf, refKey } from '../edit';
import type { Graph, GraphNode, TensorRef } from '../ir';

/** -1: known only at run time. */
export type Shape = readonly number[];

/** What tensors of a TensorList or a TensorArray have in common. */
export interface TensorList {
  /** Of the elements; absent before one was written. */
  readonly element?: Shape;
  /** -1: known only at run time. */
  readonly length: number;
}

export interface Known {
  /** By `node:index`; undefined: unknown rank. */
  readonly shapes: Map<string, Shape | undefined>;
  /** Elements of small tensors of numbers, flat; NaN where an element is known only at run time. */
  readonly values: Map<string, readonly number[]>;
  /** What handles of lists stand for. */
  readonly lists: Map<string, TensorList>;
  readonly graph: Pick<Graph, 'constants' | 'inputs'>;
}

/** Shape of a node's only output. */
export type Rule = (node: GraphNode, known: Known) => Shape | undefined;

/** Shapes of a node's outputs, as many as are known. */
export type ManyRule = (node: GraphNode, known: Known) => readonly (Shape | undefined)[];

/** Larger tensors are data, not shapes. */
export const MAX_VALUES = 1024;

export function invalid(node: GraphNode, message: string): LowbitError {
  return new LowbitError('invalid-model', `${node.op} '${node.name}': ${message}`);
}

export function shapeOf(known: Known, ref: TensorRef | undefined): Shape | undefined {
  return ref && known.shapes.get(refKey(ref));
}

/** NaN: known only at run time. */
export function valuesOf(known: Known, ref: TensorRef | undefined): readonly number[] | undefined {
  const constant = constantOf(known.graph, ref);
  if (!constant) return ref && known.values.get(refKey(ref));
  const numbers = constant.dtype === 'int32' || constant.dtype === 'float32';
  return numbers && elements(constant.shape) <= MAX_VALUES ? Array.from(constant.values) : undefined;
}

/** Values of which none is left to run time. */
export function constantsOf(known: Known, ref: TensorRef | undefined): readonly number[] | undefined {
  const values = valuesOf(known, ref);
  return values?.some(Number.isNaN) ? undefined : values;
}

export function elements(shape: Shape): number {
  return shape.reduce((product, d) => product * d, 1);
}

/** An axis that may count from the end. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Sizes out of values: what is known only at run time, or is left open, is -1. */
export function sizesOf(values: readonly number[]): Shape {
  return values.map((v) => (v >= 0 ? v : -1));
}

/** What two tensors have in common, either of which may be there at run time. */
export function join(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (a?.length !== b?.length) return undefined;
  return a?.map((d, i) => (d === b![i] ? d : -1));
}

/** NumPy broadcasting. */
export function broadcast(node: GraphNode, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === 1) return y;
    if (y === 1 || x === y) return x;
    if (x === -1 || y === -1) return Math.max(x, y);
    throw invalid(node, `shapes [${a}] and [${b}] do not broadcast.`);
  });
}
