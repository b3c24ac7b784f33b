/**
 * Paddings that say SAME where there is nothing to pad. The WebAssembly backend of TF.js computes zeros for convolutions
 * whose windows end before their input does, (out - 1) * stride + extent < in, if the window is larger than 1x1; with the
 * padding written out, which is none along that axis, it computes them as the other backends do.
 */
import { attr, intsAttr, stringAttr } from '../graph/attrs';
import { refKey } from '../graph/edit';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode } from '../graph/ir';

const CONVOLUTIONS: ReadonlySet<string> = new Set([
  'Conv2D',
  '_FusedConv2D',
  'DepthwiseConv2d',
  'DepthwiseConv2dNative',
  'FusedDepthwiseConv2dNative',
]);

/** How far the windows reach, and the padding that makes them do so. */
function axisPadding(
  size: number,
  extent: number,
  stride: number,
): { short: boolean; pads: [number, number] } {
  const reach = (Math.ceil(size / stride) - 1) * stride + extent;
  const total = Math.max(0, reach - size);
  return { short: reach < size, pads: [Math.floor(total / 2), Math.ceil(total / 2)] };
}

function paddingOf(node: GraphNode, shapes: Shapes): number[] | undefined {
  if (!CONVOLUTIONS.has(node.op) || stringAttr(node, 'padding')?.toUpperCase() !== 'SAME') return undefined;
  const [input, filter] = [0, 1].map((i) => shapes.get(refKey(node.inputs[i])));
  if (input?.length !== 4 || filter?.length !== 4 || input[1] < 0 || input[2] < 0) return undefined;
  const [strides, dilations] = ['strides', 'dilations'].map((name) => intsAttr(node, name));
  const axes = [1, 2].map((axis) => {
    const extent = (filter[axis - 1] - 1) * (dilations[axis] ?? 1) + 1;
    return axisPadding(input[axis], extent, strides[axis] ?? 1);
  });
  return axes.some(({ short }) => short) ? [0, 0, ...axes.flatMap(({ pads }) => pads), 0, 0] : undefined;
}

/** Whether a window may end before its input does: it is smaller than its stride. */
function mayBeShort(node: GraphNode): boolean {
  return CONVOLUTIONS.has(node.op) && intsAttr(node, 'strides').some((stride) => stride > 2);
}

export function withExplicitPadding(graph: Graph): Graph {
  // A window of two needs a stride of three to be short, and a window of one is computed as it should be.
  if (![...graph.nodes.values()].some(mayBeShort)) return graph;
  const shapes = inferShapes(graph);
  const nodes = new Map(graph.nodes);
  for (const node of graph.nodes.values()) {
    const pads = paddingOf(node, shapes);
    if (!pads) continue;
    const attrs = { ...node.attrs, padding: attr.string('EXPLICIT'), explicit_paddings: attr.ints(pads) };
    nodes.set(node.name, { ...node, attrs });
  }
  return { ...graph, nodes };
}
