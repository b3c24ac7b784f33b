import { boolAttr, stringAttr } from './attrs';
import { constantOf, refKey } from './edit';
import type { Shapes } from './infer-shapes';
import type { Graph, GraphNode } from './ir';
import { einsumAxes } from './shapes/products';

/** The product of some sizes; one that is known only at run time counts as 1. */
const elements = (shape: readonly number[]) => shape.reduce((product, d) => product * Math.abs(d), 1);

/** The product of the sizes of all letters: each result is a sum over those that it does not have. */
function einsumMacs(node: GraphNode, shapes: readonly (readonly number[] | undefined)[]): number {
  const { operands } = einsumAxes(stringAttr(node, 'equation') ?? '');
  const sizes = new Map<string, number>();
  for (const [i, letters] of operands.entries()) {
    [...letters].forEach((letter, axis) => {
      sizes.set(letter, Math.max(sizes.get(letter) ?? 1, shapes[i]?.[axis] ?? 1));
    });
  }
  return operands.length < 2 ? 0 : elements([...sizes.values()]);
}

/**
 * Multiply-accumulates that a node does for one sample, of weights or of two activations; 0 for ops other than
 * convolutions and matrix products. A dimension that is known only at run time, the batch for one, counts as 1, and so do
 * all of a tensor of unknown rank: what is not known in full is counted too low, but it is counted. Nodes of a loop count
 * once, whatever its turns.
 */
export function countMacs(graph: Graph, shapes: Shapes, node: GraphNode): number {
  const shapeAt = (i: number) => {
    const ref = node.inputs[i];
    return constantOf(graph, ref)?.shape ?? (ref && shapes.get(refKey(ref)));
  };
  const output = shapes.get(refKey({ node: node.name, index: 0 })) ?? [];
  const filter = shapeAt(1) ?? [];
  switch (node.op) {
    case 'Conv2D':
    case '_FusedConv2D':
    case 'Conv3D':
      return elements(output) * elements(filter.slice(0, -1));
    case 'Conv2DBackpropInput':
      return elements((shapeAt(2) ?? []).slice(0, 3)) * elements(filter);
    case 'DepthwiseConv2d':
    case 'DepthwiseConv2dNative':
    case 'FusedDepthwiseConv2dNative':
      return elements(output) * elements(filter.slice(0, 2));
    case 'MatMul':
    case '_FusedMatMul':
    case 'BatchMatMul':
    case 'BatchMatMulV2': {
      const transposed = boolAttr(node, 'transpose_b') || boolAttr(node, 'adj_y');
      const depth = filter.at(transposed ? -1 : -2) ?? 1;
      return elements(output) * Math.abs(depth);
    }
    case 'Einsum':
      return einsumMacs(
        node,
        node.inputs.map((_, i) => shapeAt(i)),
      );
    default:
      return 0;
  }
}
