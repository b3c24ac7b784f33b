import { constantOf, output, refKey } from '../../../graph/edit';
import { OpKind } from '../../../program/program';
import type { Matcher } from './quantizable';

export const matchConcat: Matcher = (node, { graph, shapes }) => {
  if (node.op !== 'ConcatV2') return undefined;
  const parts = node.inputs.slice(0, -1);
  const axis = constantOf(graph, node.inputs.at(-1))?.values[0];
  const rank = shapes.get(refKey(output(node.name)))?.length;
  if (axis === undefined || rank === undefined) return 'its axis or its shape is not known';
  if (parts.some((p) => constantOf(graph, p))) return 'it concatenates a constant';
  return {
    kind: 'concat',
    activations: parts,
    lowerFloat(builder, result) {
      builder.op({
        kind: OpKind.Concat,
        name: node.name,
        inputs: parts.map((p) => builder.dequantized(p)),
        output: builder.floatResult(result),
        axis: axis < 0 ? axis + rank : axis,
      });
    },
    lower(builder, store) {
      const inputs = parts.map((p) => builder.read(p));
      builder.op({
        kind: OpKind.Concat,
        name: node.name,
        inputs,
        output: builder.result(store.result),
        axis: axis < 0 ? axis + rank : axis,
      });
    },
  };
};
