/**
 * Pad folding: a convolution reads zeros beyond its border, so zeros padded before it are its own padding.
 *
 * Pattern: Pad (or PadV2 with 0) of height and width only, read by a VALID or EXPLICIT convolution or depthwise
 * convolution.
 * Replacement: the convolution with `explicit_paddings`, reading the unpadded tensor. A pad without readers is dead.
 * Declines: padded batch or channels, negative or non-constant pads, a SAME convolution, pooling (TF.js pools know no
 * explicit padding, and their border is not zero).
 */
import { attr, intsAttr, stringAttr } from '../graph/attrs';
import { constantOf, consumers, GraphEditor } from '../graph/edit';
import type { Graph, GraphNode } from '../graph/ir';
import { linearKind } from './linear-op';
import { ChangeLog, type Pass } from './pass';

/** [top, bottom, left, right] of a pad that only adds zeros around height and width; otherwise the reason. */
export function spatialPads(graph: Graph, node: GraphNode): readonly number[] | string {
  const pads = Array.from(constantOf(graph, node.inputs[1])?.values ?? []);
  const value = node.op === 'PadV2' ? constantOf(graph, node.inputs[2])?.values[0] : 0;
  if (value !== 0) return 'it pads with other values than zero';
  if (pads.length !== 8) return 'its padding is not constant, or its input is not of rank 4';
  if (pads.some((p) => p < 0)) return 'it cuts';
  if (pads.some((p, i) => p !== 0 && (i < 2 || i > 5))) return 'it pads the batch or the channels';
  return pads.slice(2, 6);
}

function reasonAgainst(reader: GraphNode): string | undefined {
  const kind = linearKind(reader);
  if (kind !== 'conv' && kind !== 'depthwise') return `${reader.op} cannot take padding`;
  const padding = stringAttr(reader, 'padding')?.toUpperCase();
  if (padding !== 'VALID' && padding !== 'EXPLICIT') return `'${reader.name}' pads by itself (${padding})`;
  return (stringAttr(reader, 'data_format') ?? 'NHWC').toUpperCase() === 'NHWC'
    ? undefined
    : 'its data is not NHWC';
}

export const foldPadding: Pass = {
  name: 'fold-padding',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    const readers = consumers(graph);
    for (const node of graph.nodes.values()) {
      if (node.op !== 'Pad' && node.op !== 'PadV2') continue;
      const pads = spatialPads(graph, node);
      for (const { name } of readers.get(node.name) ?? []) {
        const reader = editor.nodes.get(name)!;
        const reason = typeof pads === 'string' ? pads : reasonAgainst(reader);
        if (reason !== undefined || typeof pads === 'string') {
          log.declined(node.name, `not folded into '${name}': ${reason}`);
          continue;
        }
        const own = intsAttr(reader, 'explicit_paddings');
        const total = [0, 0, ...pads.map((p, i) => p + (own[i + 2] ?? 0)), 0, 0];
        const attrs = {
          ...reader.attrs,
          padding: attr.string('EXPLICIT'),
          explicit_paddings: attr.ints(total),
        };
        const [, ...rest] = reader.inputs;
        editor.setNode({ name, op: reader.op, inputs: [node.inputs[0], ...rest], attrs });
        log.rewrote(node.name, `folded into '${name}'`);
      }
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
