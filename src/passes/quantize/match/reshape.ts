/** Concatenation, and ops that only rename dimensions. */
import { constantOf, output, refKey } from '../../../graph/edit';
import { OpKind } from '../../../program/program';
import type { Matcher } from './quantizable';

/** Ops that keep their data as it is. */
export const RENAMES: ReadonlySet<string> = new Set(['Reshape', 'Squeeze', 'ExpandDims']);

/** Whether the first dimension stays what it is, of whatever size. */
function keepsBatch(from: readonly number[], to: readonly number[]): boolean {
  const size = (shape: readonly number[]) => shape.slice(1).reduce((p, d) => p * d, 1);
  return (
    from[0] === to[0] && !from.slice(1).includes(-1) && !to.slice(1).includes(-1) && size(from) === size(to)
  );
}

export const matchReshape: Matcher = (node, { shapes }) => {
  if (!RENAMES.has(node.op)) return undefined;
  const input = node.inputs[0];
  const from = shapes.get(refKey(input));
  const to = shapes.get(refKey(output(node.name)));
  if (!from || !to) return 'its shape is not known';
  if (to.filter((d) => d < 0).length > 1) return 'more than one of its dimensions is not known';
  const shape = keepsBatch(from, to) ? [-1, ...to.slice(1)] : to;
  return {
    activations: [input],
    floatAtEnd: 'it only renames dimensions, after the last quantized op',
    storesFloat: 'as read',
    readsFloat: true,
    lowerFloat(builder, result) {
      builder.op({
        kind: OpKind.Reshape,
        name: node.name,
        inputs: [builder.dequantized(input)],
        output: builder.floatResult(result),
        shape,
      });
    },
    lower(builder, store) {
      const data = store.float ? builder.readFloats(input) : builder.read(input);
      const result = store.float
        ? builder.floatResult(store.result)
        : builder.result(store.result, builder.paramsOf(data));
      const { name } = node;
      builder.op({ kind: OpKind.Reshape, name, inputs: [data], output: result, shape });
    },
  };
};

export const matchConcat: Matcher = (node, { graph, shapes }) => {
  if (node.op !== 'ConcatV2') return undefined;
  const parts = node.inputs.slice(0, -1);
  const axis = constantOf(graph, node.inputs.at(-1))?.values[0];
  const rank = shapes.get(refKey(output(node.name)))?.length;
  if (axis === undefined || rank === undefined) return 'its axis or its shape is not known';
  if (parts.some((p) => constantOf(graph, p))) return 'it concatenates a constant';
  return {
    activations: parts,
    movesOnly: true,
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
