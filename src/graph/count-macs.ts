import { constantOf, refKey } from './edit';
import type { Shapes } from './infer-shapes';
import type { Graph, GraphNode } from './ir';

const elements = (shape: readonly number[]) => shape.reduce((product, d) => product * Math.abs(d), 1);

/**
 * Multiply-accumulates that a node does for one sample; 0 for ops other than convolutions and matrix products. A
 * dimension that is known only at run time, the batch for one, counts as 1.
 */
export function countMacs(graph: Graph, shapes: Shapes, node: GraphNode): number {
  const filter = constantOf(graph, node.inputs[1])?.shape;
  const output = shapes.get(refKey({ node: node.name, index: 0 }));
  if (!filter || !output) return 0;
  switch (node.op) {
    case 'Conv2D':
    case '_FusedConv2D':
      return elements(output) * elements(filter.slice(0, 3));
    case 'Conv2DBackpropInput': {
      const input = shapes.get(refKey(node.inputs[2]));
      return input ? elements(input.slice(0, 3)) * elements(filter) : 0;
    }
    case 'DepthwiseConv2d':
    case 'DepthwiseConv2dNative':
    case 'FusedDepthwiseConv2dNative':
      return elements(output) * elements(filter.slice(0, 2));
    case 'MatMul':
    case '_FusedMatMul':
    case 'BatchMatMul':
    case 'BatchMatMulV2':
      return elements(output.slice(0, -1)) * elements(filter);
    default:
      return 0;
  }
}
