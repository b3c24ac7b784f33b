/** The nodes of a graph that multiply: by weights, or two activations by one another. What runs in INT8 is a share of these. */
import { countMacs } from '../graph/count-macs';
import { refKey } from '../graph/edit';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode } from '../graph/ir';

const PRODUCT_OPS: ReadonlySet<string> = new Set([
  'Conv2D',
  '_FusedConv2D',
  'Conv2DBackpropInput',
  'Conv3D',
  'Conv3DBackpropInputV2',
  'DepthwiseConv2d',
  'DepthwiseConv2dNative',
  'FusedDepthwiseConv2dNative',
  'MatMul',
  '_FusedMatMul',
  'BatchMatMul',
  'BatchMatMulV2',
  'Einsum',
]);

export interface Product {
  readonly name: string;
  readonly op: string;
  /** Multiply-accumulates for one sample, as far as they are known. */
  readonly macs: number;
  /** A size other than the batch is known at run time only: there are more. */
  readonly incomplete?: true;
}

/** A product that stays float, and why. */
export interface FloatProduct extends Product {
  readonly reason: string;
}

/** Products of a graph, and the share of them that is in INT8 or int16. */
export interface ProductCounts {
  /** How many nodes multiply. */
  readonly products: number;
  /** How many of them have sizes that are known at run time only: the counts are too low by their share. */
  readonly incomplete: number;
  /** Those that stay float, the largest first. */
  readonly floatProducts: readonly FloatProduct[];
}

/** Whether all sizes of a tensor but the first, the batch, are known. */
function isKnown(shape: readonly number[] | undefined): boolean {
  return shape?.slice(1).every((d) => d >= 0) ?? false;
}

export function isProduct({ op }: Pick<GraphNode, 'op'>): boolean {
  return PRODUCT_OPS.has(op);
}

/** The products of a graph itself, in its order. */
export function productsOf(graph: Graph, shapes: Shapes): Product[] {
  return [...graph.nodes.values()].filter(isProduct).map((node) => {
    const refs = [{ node: node.name, index: 0 }, ...node.inputs];
    const known = refs.every((ref) => graph.constants.has(ref.node) || isKnown(shapes.get(refKey(ref))));
    const { name, op } = node;
    return { name, op, macs: countMacs(graph, shapes, node), ...(!known && { incomplete: true }) };
  });
}

interface LibraryFunction {
  signature?: { name?: string };
  nodeDef?: { name?: string; op?: string }[];
}

/** The products in the functions that loops and branches call, which are carried through as they are. */
function functionProducts({ source }: Graph): FloatProduct[] {
  const { function: functions = [] } = (source.library ?? {}) as { function?: LibraryFunction[] };
  return functions.flatMap(({ signature, nodeDef = [] }) =>
    nodeDef
      .filter(({ op = '' }) => PRODUCT_OPS.has(op))
      .map(({ name = '', op = '' }) => ({
        name: `${signature?.name}/${name}`,
        op,
        macs: 0,
        incomplete: true as const,
        reason: 'it is in a function of a loop or a branch',
      })),
  );
}

/** @param float why nodes stay float, by name */
export function countProducts(
  graph: Graph,
  shapes: Shapes,
  float: ReadonlyMap<string, string>,
): ProductCounts {
  const own = productsOf(graph, shapes);
  const inFunctions = functionProducts(graph);
  const left = own.flatMap((product): FloatProduct[] => {
    const reason = float.get(product.name);
    return reason === undefined ? [] : [{ ...product, reason }];
  });
  return {
    products: own.length + inFunctions.length,
    incomplete: [...own, ...inFunctions].filter(({ incomplete }) => incomplete).length,
    floatProducts: [...left, ...inFunctions].sort((a, b) => b.macs - a.macs),
  };
}
