/**
 * Dilated convolutions that are written as a convolution of every d-th pixel.
 *
 * Identity: SpaceToBatchND moves the d x d interleaved images of every d-th pixel to the batch, and BatchToSpaceND back;
 * a convolution of stride 1 in between takes pixels d apart, which is dilation. What is padded first and cropped last is
 * its padding.
 * Pattern: SpaceToBatchND, a VALID convolution or depthwise convolution of stride 1, BatchToSpaceND with the same block;
 * for one axis, ExpandDims and Squeeze around the convolution.
 * Replacement: the convolution with dilations and explicit padding, under the name of the last node.
 * Declines: another consumer, an output in between, paddings or crops that are not constant, more cropped than padded.
 */
import { attr, intsAttr, stringAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output } from '../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { linearKind } from './linear-op';
import { ChangeLog, type Pass } from './pass';

interface Match {
  readonly spaceToBatch: GraphNode;
  readonly expand?: GraphNode;
  readonly conv: GraphNode;
  readonly squeeze?: GraphNode;
}

function integers(editor: GraphEditor, ref: TensorRef | undefined): readonly number[] | undefined {
  const constant = constantOf(editor, ref);
  return constant?.dtype === 'int32' ? Array.from(constant.values) : undefined;
}

/** The node before another one, if only that one reads it. */
function only(editor: GraphEditor, { inputs }: GraphNode): GraphNode | undefined {
  const before = editor.nodes.get(inputs[0].node);
  return before && editor.countReads(before.name) === 1 && !editor.outputs.has(before.name)
    ? before
    : undefined;
}

function matchBefore(editor: GraphEditor, batchToSpace: GraphNode): Match | string {
  const last = only(editor, batchToSpace);
  const squeeze = last?.op === 'Squeeze' ? last : undefined;
  const conv = squeeze ? only(editor, squeeze) : last;
  const first = conv && only(editor, conv);
  const expand = squeeze && first?.op === 'ExpandDims' ? first : undefined;
  const spaceToBatch = expand ? only(editor, expand) : first;
  const kind = conv && linearKind(conv);
  if (!conv || (kind !== 'conv' && kind !== 'depthwise')) return 'no convolution is before it, alone';
  if (spaceToBatch?.op !== 'SpaceToBatchND') return 'no SpaceToBatchND is before its convolution, alone';
  const ones = [...intsAttr(conv, 'strides'), ...intsAttr(conv, 'dilations')].every((v) => v === 1);
  if (!ones || stringAttr(conv, 'padding')?.toUpperCase() !== 'VALID')
    return 'its convolution has strides, dilations or padding';
  if ((stringAttr(conv, 'data_format') ?? 'NHWC').toUpperCase() !== 'NHWC') return 'its data is not NHWC';
  return { spaceToBatch, conv, ...(expand && { expand }), ...(squeeze && { squeeze }) };
}

/** Which axis ExpandDims adds and Squeeze drops: that of the height, so that one axis is left to dilate. */
function addsHeight(editor: GraphEditor, { expand, squeeze }: Match): boolean {
  if (!expand || !squeeze) return !expand && !squeeze;
  const dims = intsAttr(squeeze, 'squeeze_dims').concat(intsAttr(squeeze, 'axis'));
  const added = integers(editor, expand.inputs[1])?.[0];
  return (added === 1 || added === -3) && dims.length === 1 && (dims[0] === 1 || dims[0] === -3);
}

interface Dilation {
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Dilations and padding of the convolution that is the same as all of a match. */
function dilationOf(editor: GraphEditor, match: Match, batchToSpace: GraphNode): Dilation | string {
  const [block, paddings] = [1, 2].map((i) => integers(editor, match.spaceToBatch.inputs[i]));
  const [blockAfter, crops] = [1, 2].map((i) => integers(editor, batchToSpace.inputs[i]));
  if (!block || !paddings || !blockAfter || !crops) return 'its block, paddings or crops are not constant';
  const axes = match.expand ? 1 : 2;
  if (block.length !== axes || block.join() !== blockAfter.join()) return 'it groups other axes or blocks';
  const pads = paddings.map((p, i) => p - crops[i]);
  if (pads.some((p) => p < 0)) return 'it crops more than it pads';
  const onHeight = axes === 1 ? [1] : [];
  return {
    dilations: [1, ...onHeight, ...block, 1],
    pads: [0, 0, ...(axes === 1 ? [0, 0] : []), ...pads, 0, 0],
  };
}

export const foldSpaceToBatch: Pass = {
  name: 'fold-space-to-batch',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const ends = [...graph.nodes.values()].filter(({ op }) => op === 'BatchToSpaceND');
    if (ends.length === 0) return { graph, changes: [] };
    const editor = new GraphEditor(graph);
    for (const end of ends) {
      const match = matchBefore(editor, end);
      const dilation =
        typeof match === 'string'
          ? match
          : addsHeight(editor, match)
            ? dilationOf(editor, match, end)
            : 'its axes are renamed in between';
      if (typeof match === 'string' || typeof dilation === 'string') {
        log.declined(end.name, `not folded: ${typeof match === 'string' ? match : dilation}`);
        continue;
      }
      const { spaceToBatch, expand, conv, squeeze } = match;
      const [from] = spaceToBatch.inputs;
      const attrs = {
        ...conv.attrs,
        dilations: attr.ints(dilation.dilations),
        padding: attr.string('EXPLICIT'),
        explicit_paddings: attr.ints(dilation.pads),
      };
      const [read, ...weights] = conv.inputs;
      if (expand) editor.setNode({ ...expand, inputs: [from, ...expand.inputs.slice(1)] });
      const dilated = { ...conv, inputs: [expand ? read : from, ...weights], attrs };
      editor.remove(spaceToBatch.name);
      if (squeeze) {
        editor.setNode(dilated);
        editor.remove(squeeze.name);
        editor.setNode({ ...squeeze, name: end.name, inputs: [output(conv.name)] });
      } else {
        editor.remove(conv.name);
        editor.setNode({ ...dilated, name: end.name });
      }
      log.rewrote(
        end.name,
        `SpaceToBatchND and BatchToSpaceND as dilations ${dilation.dilations.slice(1, 3)}`,
      );
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
