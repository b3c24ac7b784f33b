/**
 * Equalization of the parts of concatenations: parts of different strength brought to similar ranges, so that one scale
 * serves them all. Beside scores of a hundred, offsets of a hundredth would all be one code.
 *
 * Identity and replacement: as in equalize-activations, but for whole parts, and by powers of two, which change no bit of a
 * float32 weight. So parts that differ by less than a factor of two stay as they are.
 * Pattern: a concatenation along the channels, from the linear ops that compute its parts to those that read it.
 * Declines: parts that reach an input, an output, a Relu6, or an op that is not homogeneous; the others can be scaled to
 * suit such a part.
 *
 * A scale that helps the codes of a weak part by s makes the weights that read it weaker by s. With A the largest |x| of a
 * part and W that of the weights that read it, the noise of codes and weights of a part, relative to those of the strongest,
 * is least for s = sqrt((A_strongest / A) (W / W_strongest)).
 */
import { constantOf, output, refKey } from '../graph/edit';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { type ChannelClasses, channelsOf } from './equalize/channel-classes';
import { linearOps, rescaleLayers } from './equalize/rescale-layers';
import { classesOf } from './equalize/tie-channels';
import type { ChannelMaxima } from './equalize-activations';
import type { LinearOp } from './linear-op';
import { ChangeLog, type PassResult } from './pass';
import { inputChannelOf } from './quantize/lower/filter-order';

/** Far above any network's, and far from the ends of float32. */
const MAX_EXPONENT = 20;

/** Concatenations along the last axis. */
export function channelConcats(graph: Graph, shapes: Shapes, nodes: readonly GraphNode[]): TensorRef[] {
  return nodes.flatMap((node) => {
    if (node.op !== 'ConcatV2') return [];
    const result = output(node.name);
    const axis = constantOf(graph, node.inputs.at(-1))?.values[0];
    const rank = shapes.get(refKey(result))?.length;
    return axis !== undefined && rank !== undefined && (axis === -1 || axis === rank - 1) ? [result] : [];
  });
}

/** The classes of channels, where all channels that one linear op computes are one class. */
function classesOfParts(graph: Graph, shapes: Shapes, nodes: readonly GraphNode[]): ChannelClasses {
  const classes = classesOf(graph, shapes, nodes);
  for (const { node, channels, activation } of linearOps(graph, nodes)) {
    const result = output(node.name);
    for (let c = 1; c < channels; c++) classes.tie(result, c, result, 0);
    if (activation === 'Relu6') classes.pin(result);
  }
  return classes;
}

/** The largest value of each class among those of a tensor's channels. */
function byClass(classes: ChannelClasses, tensor: TensorRef, values: Float64Array): Map<number, number> {
  const largest = new Map<number, number>();
  values.forEach((value, channel) => {
    const id = classes.find(refKey(tensor), channel);
    if (id !== undefined) largest.set(id, Math.max(largest.get(id) ?? 0, value));
  });
  return largest;
}

/** The largest |weight| that multiplies each channel of an op's input. */
function largestWeights(op: LinearOp, channels: number): Float64Array {
  const channelOf = inputChannelOf(op);
  const largest = new Float64Array(channels);
  op.filter.values.forEach((weight, i) => {
    const channel = channelOf(i);
    largest[channel] = Math.max(largest[channel], Math.abs(weight));
  });
  return largest;
}

/** How strongly layers weigh one class beside another: the least ratio of those that read both. */
function weightRatio(weights: readonly ReadonlyMap<number, number>[], id: number, strongest: number): number {
  const ratios = weights.flatMap((of) => {
    const [own, other] = [of.get(id), of.get(strongest)];
    return own && other ? [own / other] : [];
  });
  return ratios.length > 0 ? Math.min(...ratios) : 1;
}

/** The exponent of the scale that each part of a concatenation should have, by class. */
function exponentsOf(
  classes: ChannelClasses,
  parts: ReadonlyMap<number, number>,
  weights: readonly ReadonlyMap<number, number>[],
): Map<number, number> {
  const [[strongest, most]] = [...parts].toSorted(([, a], [, b]) => b - a);
  const wanted = new Map(
    [...parts].map(([id, largest]) => {
      const gain = largest > 0 ? (most / largest) * weightRatio(weights, id, strongest) : 1;
      return [id, Math.min(MAX_EXPONENT, Math.max(0, Math.floor(Math.log2(gain) / 2)))] as const;
    }),
  );
  // What cannot be scaled up has the others scaled down.
  const fixed = [...wanted].filter(([id]) => classes.isPinned(id)).map(([, exponent]) => exponent);
  const down = Math.max(0, ...fixed);
  return new Map([...wanted].map(([id, exponent]) => [id, exponent - down]));
}

/**
 * @param nodes the nodes that will be quantized
 * @param maxima of `channelConcats`
 */
export function equalizeParts(
  graph: Graph,
  shapes: Shapes,
  nodes: readonly GraphNode[],
  maxima: ChannelMaxima,
): PassResult {
  const log = new ChangeLog('equalize-parts');
  const classes = classesOfParts(graph, shapes, nodes);
  const weights = linearOps(graph, nodes).map((op) =>
    byClass(classes, op.input, largestWeights(op, channelsOf(shapes, op.input))),
  );
  const exponents = new Map<number, number>();
  for (const concat of channelConcats(graph, shapes, nodes)) {
    const values = maxima.get(refKey(concat));
    const parts = values ? byClass(classes, concat, values) : new Map<number, number>();
    if (parts.size < 2) continue;
    for (const [id, exponent] of exponentsOf(classes, parts, weights))
      exponents.set(id, Math.min(exponent, exponents.get(id) ?? exponent));
  }
  const scalesOf = (ref: TensorRef, channels: number) =>
    Float64Array.from({ length: channels }, (_, c) => {
      const id = classes.find(refKey(ref), c);
      return id === undefined || classes.isPinned(id) ? 1 : 2 ** (exponents.get(id) ?? 0);
    });
  return rescaleLayers(graph, nodes, scalesOf, log);
}
