/**
 * Layout ops move elements without changing them: pad, slice, transpose, space to depth and back. Codes are moved
 * unchanged, so that input and output share scale and zero point.
 */
import { numberAttr, stringAttr } from '../../../graph/attrs';
import { constantOf, output, refKey } from '../../../graph/edit';
import type { GraphNode } from '../../../graph/ir';
import { resolveStridedSlice } from '../../../graph/strided-slice';
import { type Op, OpKind, PadMode, type SliceRange } from '../../../program/program';
import type { ProgramBuilder } from '../lower/program-builder';
import type { Facts, Layout, Matcher } from './quantizable';

/** The op without what every op has. */
type Move = Op extends infer Kind ? Omit<Kind, 'name' | 'inputs' | 'output'> : never;

function integers({ graph }: Facts, node: GraphNode, input: number): number[] | undefined {
  const constant = constantOf(graph, node.inputs[input]);
  return constant?.dtype === 'int32' ? Array.from(constant.values) : undefined;
}

/**
 * A node as a layout op.
 *
 * @param moved shape of the op's result, if it differs from that of the node's result, and is reshaped to it
 */
function layout(node: GraphNode, op: (zeroPoint: number) => Move, moved?: readonly number[]): Layout {
  const from = node.inputs[0];
  return {
    kind: 'layout',
    activations: [from],
    lowerFloat(builder, result) {
      const name = node.name;
      const inputs = [builder.dequantized(from)];
      const target = builder.floatResult(result);
      const temporary = moved ? builder.temporaryLike(target, moved) : target;
      builder.op({ ...op(0), name, inputs, output: temporary } as Op);
      if (!moved) return;
      const shape = builder.shape(result);
      builder.op({ kind: OpKind.Reshape, name, inputs: [temporary], output: target, shape });
    },
    lower(builder: ProgramBuilder, store) {
      const input = builder.read(from);
      const params = builder.paramsOf(input);
      const common = { name: node.name, inputs: [input] };
      if (!moved) {
        builder.op({
          ...op(params.zeroPoint),
          ...common,
          output: builder.result(store.result, params),
        } as Op);
        return;
      }
      const temporary = builder.temporary(moved, params);
      builder.op({ ...op(params.zeroPoint), ...common, output: temporary } as Op);
      const shape = builder.shape(store.result);
      builder.op({
        kind: OpKind.Reshape,
        name: node.name,
        inputs: [temporary],
        output: builder.result(store.result, params),
        shape,
      });
    },
  };
}

const PAD_MODES: Readonly<Record<string, PadMode>> = {
  REFLECT: PadMode.Reflect,
  SYMMETRIC: PadMode.Symmetric,
};

function pad(node: GraphNode, facts: Facts): Layout | string {
  const pads = integers(facts, node, 1);
  const rank = facts.shapes.get(refKey(node.inputs[0]))?.length;
  if (!pads || rank === undefined || pads.length !== 2 * rank) return 'its padding or its shape is not known';
  if (pads.some((p) => p < 0)) return 'it cuts';
  const value = node.op === 'PadV2' ? constantOf(facts.graph, node.inputs[2])?.values[0] : 0;
  if (value !== 0) return 'it pads with other values than zero';
  const mode =
    node.op === 'MirrorPad' ? PAD_MODES[stringAttr(node, 'mode')?.toUpperCase() ?? ''] : PadMode.Constant;
  if (mode === undefined) return `its mode '${stringAttr(node, 'mode')}' is not known`;
  const paddings = Array.from({ length: rank }, (_, i) => [pads[2 * i], pads[2 * i + 1]] as const);
  return layout(node, (zeroPoint) => ({ kind: OpKind.Pad, mode, code: zeroPoint, paddings }));
}

function slice(node: GraphNode, facts: Facts): Layout | string {
  const shape = facts.shapes.get(refKey(node.inputs[0]));
  const [begin, sizes] = [1, 2].map((i) => integers(facts, node, i));
  if (!shape || begin?.length !== shape.length || sizes?.length !== shape.length)
    return 'its positions or its shape are not known';
  const ranges = shape.map((_, i) => ({ begin: begin[i], size: sizes[i], stride: 1 }));
  return layout(node, () => ({ kind: OpKind.Slice, ranges }));
}

function stridedSlice(node: GraphNode, facts: Facts): Layout | string {
  const shape = facts.shapes.get(refKey(node.inputs[0]));
  const [begin, end, strides] = [1, 2, 3].map((i) => integers(facts, node, i));
  const taken = shape && begin && end && strides && resolveStridedSlice(node, shape, begin, end, strides);
  if (!taken) return 'its positions or its shape are not known';
  if (taken.axes.some((a) => a.stride < 0)) return 'it reverses';
  const ranges = taken.axes.map(({ start, size, stride }, i): SliceRange | undefined => {
    if (size >= 0) return { begin: start, size, stride };
    return start === 0 && stride === 1 && shape[i] < 0 ? { begin: 0, size: -1, stride } : undefined;
  });
  if (ranges.includes(undefined)) return 'it cuts an axis of unknown size';
  const sameRank = taken.axes.every((a) => !a.dropped) && taken.shape.length === taken.axes.length;
  const moved = taken.axes.map((a) => a.size);
  if (!sameRank && (moved[0] !== taken.shape[0] || taken.shape.slice(1).includes(-1)))
    return 'it does not keep the batch';
  return layout(
    node,
    () => ({ kind: OpKind.Slice, ranges: ranges as SliceRange[] }),
    sameRank ? undefined : moved,
  );
}

function transpose(node: GraphNode, facts: Facts): Layout | string {
  const axes = integers(facts, node, 1);
  const rank = facts.shapes.get(refKey(node.inputs[0]))?.length;
  if (!axes || rank !== axes.length) return 'its order or its shape is not known';
  return layout(node, () => ({ kind: OpKind.Transpose, axes: axes.map((a) => (a < 0 ? a + rank : a)) }));
}

function regroup(node: GraphNode, facts: Facts): Layout | string {
  const block = numberAttr(node, 'block_size');
  if (!block || !facts.shapes.get(refKey(output(node.name)))) return 'its block or its shape is not known';
  const kind = node.op === 'SpaceToDepth' ? OpKind.SpaceToDepth : OpKind.DepthToSpace;
  return layout(node, () => ({ kind, block }));
}

const RULES: Readonly<Record<string, (node: GraphNode, facts: Facts) => Layout | string>> = {
  Pad: pad,
  PadV2: pad,
  MirrorPad: pad,
  Slice: slice,
  StridedSlice: stridedSlice,
  Transpose: transpose,
  SpaceToDepth: regroup,
  DepthToSpace: regroup,
};

export const matchLayout: Matcher = (node, facts) => RULES[node.op]?.(node, facts);
