/** Layers with their channels rescaled: those of what they read, and those of what they compute. */
import { GraphEditor, output } from '../../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../../graph/ir';
import { derivedConstant } from '../../graph/stored-constants';
import { type LinearOp, linearKind, readLinearOp, writeLinearOp } from '../linear-op';
import type { ChangeLog, PassResult } from '../pass';

/** Multiplies weights and bias by the scales of the output, and divides the weights by those of the input. */
function rescale(op: LinearOp, input: Float64Array, result: Float64Array): LinearOp {
  const [, columns, inChannels, last] = op.filter.shape;
  const rescaled = (value: number, i: number): number => {
    switch (op.kind) {
      case 'conv':
        return (value * result[i % last]) / input[Math.floor(i / last) % inChannels];
      case 'depthwise': {
        const channel = i % op.channels;
        return (value * result[channel]) / input[Math.floor(channel / last)];
      }
      case 'matmul': {
        const [row, column] = [Math.floor(i / columns), i % columns];
        return op.transposed ? (value * result[row]) / input[column] : (value * result[column]) / input[row];
      }
    }
  };
  const filter = derivedConstant(op.filter, rescaled);
  const bias = op.bias?.map((b, c) => b * result[c]);
  return { ...op, filter, ...(bias && { bias }) };
}

/** How many channels a layer reads, whether the shape of its input is known or not. */
function channelsRead({ kind, filter, transposed }: LinearOp): number {
  return filter.shape[kind === 'matmul' ? Number(transposed) : 2];
}

/** The linear ops with constant weights among some nodes. */
export function linearOps(graph: Graph, nodes: readonly GraphNode[]): LinearOp[] {
  return nodes
    .filter((node) => linearKind(node) !== undefined)
    .map((node) => readLinearOp(graph, node))
    .filter((op) => typeof op !== 'string');
}

/** @param scalesOf the scales of a tensor's channels */
export function rescaleLayers(
  graph: Graph,
  nodes: readonly GraphNode[],
  scalesOf: (ref: TensorRef, channels: number) => Float64Array,
  log: ChangeLog,
): PassResult {
  const editor = new GraphEditor(graph);
  for (const op of linearOps(graph, nodes)) {
    const { name } = op.node;
    const [input, result] = [scalesOf(op.input, channelsRead(op)), scalesOf(output(name), op.channels)];
    if (input.every((s) => s === 1) && result.every((s) => s === 1)) continue;
    writeLinearOp(editor, name, rescale(op, input, result));
    log.rewrote(name, `channels scaled by up to ${Math.max(...result).toFixed(1)}`);
  }
  return { graph: editor.finish(), changes: log.changes };
}
