/** Leaky rectifiers with a slope a channel (He et al. 2015, equation 1); one with a single slope is a table. */
import { constantOf, output, refKey } from '../../../graph/edit';
import { OpKind } from '../../../program/program';
import { perChannel } from '../../linear-op';
import type { ProgramBuilder } from '../lower/program-builder';
import type { Matcher, Quantizable } from './quantizable';

export const matchPrelu: Matcher = (node, { graph, shapes }) => {
  if (node.op !== 'Prelu') return undefined;
  const [from, slope] = node.inputs;
  const shape = shapes.get(refKey(output(node.name)));
  const channels = shape?.at(-1) ?? -1;
  if (!shape || channels < 1) return 'the shape of its input is not known';
  const constant = constantOf(graph, slope);
  const alpha = perChannel(constant, channels);
  if (!alpha || constant!.shape.length > shape.length) return 'its slope is not a constant for each channel';
  const prelu = (builder: ProgramBuilder, input: number, result: number) => {
    const alphaOffset = builder.weights.append(alpha);
    builder.op({
      kind: OpKind.Prelu,
      name: node.name,
      inputs: [input],
      output: result,
      channels,
      alphaOffset,
    });
  };
  const lowerFloat: Quantizable['lowerFloat'] = (builder, result) =>
    prelu(builder, builder.dequantized(from!), builder.floatResult(result));
  if (constant!.values.length === 1) {
    const [single] = alpha;
    return { kind: 'pointwise', activations: [from!], f: (x) => (x < 0 ? single * x : x), lowerFloat };
  }
  return {
    kind: 'prelu',
    activations: [from!],
    lowerFloat,
    lower: (builder, store) => prelu(builder, builder.read(from!), builder.result(store.result)),
  };
};
