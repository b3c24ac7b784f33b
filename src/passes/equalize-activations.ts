/**
 * Activation equalization: channels of one tensor brought to similar ranges, so that one scale serves them all.
 *
 * Identity: for s > 0, f(s x) = s f(x) where f is positively homogeneous (rectifiers, pools, sums, resizing), and
 * for linear ops, (w s_out / s_in) (s_in x) + s_out b = s_out (w x + b).
 * Pattern: channels that are tied by homogeneous ops, up to the linear ops at both ends, form a class with one scale.
 * Replacement: the linear ops with new weights and biases; the graph computes the same outputs.
 * Declines: classes that reach an input, an output, or an op that is not homogeneous (sigmoid, a table).
 *
 * Scale of a class: (min over its channels of M / m)^strength, with m the largest |x| of the channel and M that of its
 * tensor. With strength 1 a channel would fill the range of its tensor, but the weights that read it would become so small
 * that their rounding errors count more. Relu6 clamps a channel scaled by s at 6 / s in its old units; as M <= 6 there, no
 * observed value is clamped that was not before.
 *
 * @see Nagel et al. 2019, section 4.1 (equalization of two layers by their weights); Xiao et al. 2023, "SmoothQuant",
 *   equation 4 (by activations, with a strength)
 */
import { refKey } from '../graph/edit';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import type { ChannelClasses } from './equalize/channel-classes';
import { rescaleLayers } from './equalize/rescale-layers';
import { classesOf } from './equalize/tie-channels';
import { ChangeLog, type PassResult } from './pass';

const DEFAULT_STRENGTH = 0.5;

/** Above this, other weights lose more than the channel gains. Also the bound of channels that are always 0. */
const MAX_SCALE = 64;

export interface EqualizeOptions {
  /** 0: nothing; 1: every channel to the full range. Default 0.5. */
  readonly strength?: number;
}

/** Largest |x| of every channel (last axis), by tensor. */
export type ChannelMaxima = ReadonlyMap<string, Float64Array>;

/** The largest scale of each class with which all its channels stay in the ranges of their tensors. */
function roomOf(classes: ChannelClasses, maxima: ChannelMaxima): Map<number, number> {
  const room = new Map<number, number>();
  for (const [key, values] of maxima) {
    const largest = values.reduce((most, v) => Math.max(most, v), 0);
    values.forEach((value, channel) => {
      const id = classes.find(key, channel);
      if (id === undefined || value === 0) return;
      room.set(id, Math.min(room.get(id) ?? MAX_SCALE, largest / value));
    });
  }
  return room;
}

/**
 * Equalizes the channels of a graph's tensors.
 *
 * @param nodes the nodes that will be quantized; the others keep what they read and compute
 * @param maxima of the tensors that will be quantized
 */
export function equalizeActivations(
  graph: Graph,
  shapes: Shapes,
  nodes: readonly GraphNode[],
  maxima: ChannelMaxima,
  { strength = DEFAULT_STRENGTH }: EqualizeOptions = {},
): PassResult {
  const log = new ChangeLog('equalize-activations');
  const classes = classesOf(graph, shapes, nodes);
  const room = roomOf(classes, maxima);
  const scalesOf = (ref: TensorRef, channels: number) =>
    Float64Array.from({ length: channels }, (_, c) => {
      const id = classes.find(refKey(ref), c);
      return id === undefined || classes.isPinned(id) ? 1 : (room.get(id) ?? 1) ** strength;
    });
  return rescaleLayers(graph, nodes, scalesOf, log);
}
