/**
 * Softmax. At the end of the model it reads and stores float32: logits are not rounded before it, and probabilities, most
 * of them small, keep their order. Elsewhere, as between the two products of an attention, it reads and stores codes.
 */
import { output, refKey } from '../../../graph/edit';
import { OpKind } from '../../../program/program';
import type { Matcher } from './quantizable';

export const matchSoftmax: Matcher = (node, { shapes }) => {
  if (node.op !== 'Softmax') return undefined;
  const from = node.inputs[0];
  if (!shapes.get(refKey(output(node.name)))) return 'the shape of its input is not known';
  return {
    kind: 'softmax',
    activations: [from],
    lower(builder, store) {
      const input = store.float ? builder.readStored(from) : builder.read(from);
      const result = store.float ? builder.floatResult(store.result) : builder.result(store.result);
      builder.op({ kind: OpKind.Softmax, name: node.name, inputs: [input], output: result });
    },
  };
};
