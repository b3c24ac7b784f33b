/** Layers whose weights are infinite or NaN: no code stands for these, so that the layers stay in float. */
import type { Graph } from '../../../graph/ir';
import { isInfinite } from '../../../graph/weights';

/** Ops whose weights are multiplied or added: infinite ones compute NaN, or infinity for every input. */
const WEIGHTED =
  /^(_FusedConv2D|Conv[23]D|Conv2DBackpropInput|(Fused)?DepthwiseConv2d(Native)?|(_Fused|Batch)?MatMul(V2)?|BiasAdd|FusedBatchNorm(V[23])?)$/;

interface InfiniteWeight {
  /** Of the constant. */
  readonly name: string;
  readonly value: number;
}

/**
 * Infinite values of other ops stand for "no limit" or "never"; masks.ts is about these.
 *
 * @returns such a weight of each layer that has one, and NaN of each op that computes with it, by the node's name
 */
export function infiniteWeights({ nodes, constants }: Graph): Map<string, InfiniteWeight> {
  const found = new Map<string, InfiniteWeight>();
  for (const { name, op, inputs } of nodes.values()) {
    for (const { node } of inputs) {
      const constant = constants.get(node);
      if (!constant || !isInfinite(constant)) continue;
      const values = constant.values as Float32Array;
      const nan = values.find(Number.isNaN);
      const value = nan ?? (WEIGHTED.test(op) ? values.find((each) => !Number.isFinite(each)) : undefined);
      if (value !== undefined) found.set(name, { name: node, value });
    }
  }
  return found;
}

/** @returns why they stay in float, by the node's name */
export function nodesOfInfiniteWeights(graph: Graph): Map<string, string> {
  const reasons = [...infiniteWeights(graph)].map(([node, { name, value }]): [string, string] => [
    node,
    `its weights '${name}' hold ${value}, for which there is no code`,
  ]);
  return new Map(reasons);
}
