/** Ops that only rename dimensions. */
import { output, refKey } from '../../../graph/edit';
import { OpKind } from '../../../program/program';
import type { Matcher } from './quantizable';

/** Ops that keep their data as it is. */
export const RENAMES: ReadonlySet<string> = new Set(['Reshape', 'Squeeze', 'ExpandDims']);

/** Whether the first dimension, known or not, keeps its size. */
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
    kind: 'reshape',
    activations: [input],
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
      const data = store.float ? builder.readStored(input) : builder.read(input);
      const result = store.float
        ? builder.floatResult(store.result)
        : builder.result(store.result, builder.paramsOf(data));
      const { name } = node;
      builder.op({ kind: OpKind.Reshape, name, inputs: [data], output: result, shape });
    },
  };
};
