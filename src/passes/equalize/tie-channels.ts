/** Which channels of a node's inputs and result must share a scale for the node to compute the same function. */

import { constantOf, output, outputNodes, refKey } from '../../graph/edit';
import type { Shapes } from '../../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../../graph/ir';
import { linearKind, readLinearOp } from '../linear-op';
import { RENAMES } from '../quantize/match/reshape';
import { ChannelClasses } from './channel-classes';

/** f(s x) = s f(x), channel by channel. */
const HOMOGENEOUS = new Set([
  'Relu',
  'LeakyRelu',
  'Prelu',
  'Abs',
  'Neg',
  'MaxPool',
  'AvgPool',
  'ResizeBilinear',
  'ResizeNearestNeighbor',
]);

/** f(s a, s b) = s f(a, b) */
const SUMS = new Set(['Add', 'AddV2', 'Sub', 'Maximum', 'Minimum', 'AddN']);

/** Ops that keep the order of elements. */
function elements(shapes: Shapes, ref: TensorRef): number {
  return shapes.get(refKey(ref))?.reduce((product, d) => product * Math.abs(d), 1) ?? 0;
}

/** The channel of a result that the first channel of an input becomes, by input; undefined: no rule. */
function offsets(
  graph: Graph,
  node: GraphNode,
  shapes: Shapes,
  classes: ChannelClasses,
): [TensorRef, number][] | undefined {
  const [first, second] = node.inputs;
  const last = (shapes.get(refKey(first))?.length ?? 0) - 1;
  if (HOMOGENEOUS.has(node.op)) return [[first, 0]];
  switch (node.op) {
    case 'Mean': {
      const axes = Array.from(constantOf(graph, second)?.values ?? []);
      return axes.length > 0 && axes.every((a) => a !== last && a !== -1) ? [[first, 0]] : undefined;
    }
    case 'Pad': {
      const pads = constantOf(graph, second)?.values;
      return pads && [[first, pads[pads.length - 2]]];
    }
    case 'ConcatV2': {
      const parts = node.inputs.slice(0, -1);
      const axis = constantOf(graph, node.inputs.at(-1))?.values[0];
      if (axis === undefined) return undefined;
      const channelAxis = axis === -1 || axis === last;
      let at = 0;
      return parts.map((part): [TensorRef, number] => {
        const start = channelAxis ? at : 0;
        at += classes.channels(part);
        return [part, start];
      });
    }
    default:
      return undefined;
  }
}

function tieShifted(classes: ChannelClasses, input: TensorRef, result: TensorRef, start: number): void {
  for (let c = 0; c < classes.channels(input); c++) classes.tie(input, c, result, start + c);
}

/** Ties or pins everything that a node reads and computes. */
export function tieChannels(graph: Graph, node: GraphNode, shapes: Shapes, classes: ChannelClasses): void {
  const result = output(node.name);
  const inputs = node.inputs.filter((i) => !constantOf(graph, i));
  const pinAll = () => {
    for (const ref of [...inputs, result]) classes.pin(ref);
  };
  const channels = classes.channels(result);
  const shifts = offsets(graph, node, shapes, classes);
  if (linearKind(node)) {
    const op = readLinearOp(graph, node);
    if (typeof op === 'string') pinAll();
    else classes.add(result);
  } else if (channels === 0 || inputs.some((i) => classes.channels(i) === 0)) {
    pinAll();
  } else if (shifts) {
    for (const [input, start] of shifts) tieShifted(classes, input, result, start);
  } else if (SUMS.has(node.op) && inputs.length === node.inputs.length) {
    if (inputs.some((i) => classes.channels(i) !== channels)) pinAll();
    else for (const input of inputs) tieShifted(classes, input, result, 0);
  } else if (node.op === 'Mul' && inputs.every((i) => classes.channels(i) === channels)) {
    // A product with a constant, or with a gate, the smaller factor, that keeps its scale.
    const [scaled, ...gates] = inputs.toSorted((a, b) => elements(shapes, b) - elements(shapes, a));
    for (const gate of gates) classes.pin(gate);
    tieShifted(classes, scaled, result, 0);
  } else if (RENAMES.has(node.op) && channels % classes.channels(inputs[0]) === 0) {
    const within = classes.channels(inputs[0]);
    for (let c = 0; c < channels; c++) classes.tie(inputs[0], c % within, result, c);
  } else {
    pinAll();
  }
}

/**
 * The classes of a graph's channels.
 *
 * @param nodes the nodes that will be quantized; the others keep what they read and compute
 */
export function classesOf(graph: Graph, shapes: Shapes, nodes: readonly GraphNode[]): ChannelClasses {
  const classes = new ChannelClasses(shapes);
  const inside = new Set(nodes.map((n) => n.name));
  const outputs = outputNodes(graph);
  for (const node of graph.nodes.values()) {
    const result = output(node.name);
    if (constantOf(graph, result)) continue;
    if (!inside.has(node.name)) for (const ref of [...node.inputs, result]) classes.pin(ref);
    else tieChannels(graph, node, shapes, classes);
    // A node of several outputs is not quantized: what it computes keeps its scale.
    for (const ref of node.inputs) if (ref.index > 0) classes.pin(ref);
    if (outputs.has(node.name)) classes.pin(result);
  }
  return classes;
}
