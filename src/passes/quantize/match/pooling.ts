/** Max pooling, average pooling, and the mean over height and width (a global average pool). */
import { boolAttr, intsAttr, stringAttr } from '../../../graph/attrs';
import { constantOf, output, refKey } from '../../../graph/edit';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import { OpKind, PaddingMode, type Window } from '../../../program/program';
import type { ProgramBuilder } from '../lower/program-builder';
import { windowOf } from '../lower/window';
import type { Facts, Matcher, Resampling } from './quantizable';

const GLOBAL: Window = { kernel: [0, 0], strides: [1, 1], padding: { mode: PaddingMode.Valid } };

function rankOf({ shapes }: Facts, ref: TensorRef): number | undefined {
  return shapes.get(refKey(ref))?.length;
}

function pool(node: GraphNode, window: Window): Resampling {
  const from = node.inputs[0];
  const average = node.op === 'AvgPool';
  return {
    kind: average ? 'averaging' : 'selecting',
    activations: [from],
    lowerFloat(builder, result) {
      const kind = average ? OpKind.AvgPool : OpKind.MaxPool;
      const inputs = [builder.dequantized(from)];
      builder.op({
        kind,
        name: node.name,
        inputs,
        output: builder.floatResult(result),
        window,
        activation: {},
      });
    },
    lower(builder, store) {
      const input = builder.read(from);
      if (store.float) {
        const output = builder.floatResult(store.result);
        builder.op({
          kind: OpKind.AvgPool,
          name: node.name,
          inputs: [input],
          output,
          window,
          activation: {},
        });
        return;
      }
      const result = average
        ? builder.result(store.result)
        : builder.result(store.result, builder.paramsOf(input));
      const kind = average ? OpKind.AvgPool : OpKind.MaxPool;
      builder.op({ kind, name: node.name, inputs: [input], output: result, window, activation: {} });
    },
  };
}

function mean(node: GraphNode, facts: Facts): Resampling | string {
  const from = node.inputs[0];
  const axes = Array.from(constantOf(facts.graph, node.inputs[1])?.values ?? [], (a) => (a < 0 ? a + 4 : a));
  if (rankOf(facts, from) !== 4 || axes.sort().join() !== '1,2')
    return 'it is not a mean over height and width';
  const channels = facts.shapes.get(refKey(from))![3];
  if (channels < 0) return 'the shape of its input is not known';
  const keepDims = boolAttr(node, 'keep_dims');
  const pool = (builder: ProgramBuilder, input: number, result: number) => {
    const pooled = keepDims
      ? result
      : builder.temporaryLike(result, [builder.shape(from)[0], 1, 1, channels]);
    const { name } = node;
    builder.op({
      kind: OpKind.AvgPool,
      name,
      inputs: [input],
      output: pooled,
      window: GLOBAL,
      activation: {},
    });
    if (keepDims) return;
    builder.op({ kind: OpKind.Reshape, name, inputs: [pooled], output: result, shape: [-1, channels] });
  };
  return {
    kind: 'averaging',
    activations: [from],
    lowerFloat: (builder, result) => pool(builder, builder.dequantized(from), builder.floatResult(result)),
    lower(builder, { float, result }) {
      pool(builder, builder.read(from), float ? builder.floatResult(result) : builder.result(result));
    },
  };
}

export const matchPooling: Matcher = (node, facts) => {
  if (node.op === 'Mean') return mean(node, facts);
  if (node.op !== 'MaxPool' && node.op !== 'AvgPool') return undefined;
  if ((stringAttr(node, 'data_format') ?? 'NHWC').toUpperCase() !== 'NHWC')
    return 'its data format is not NHWC';
  if (rankOf(facts, output(node.name)) !== 4) return 'the shape of its input is not known';
  const [batch, height, width, channels] = intsAttr(node, 'ksize');
  if (batch !== 1 || channels !== 1) return 'it pools over the batch or the channels';
  const window = windowOf(node, [height!, width!]);
  if (typeof window === 'string') return window;
  return window.padding.mode === PaddingMode.Explicit
    ? 'TF.js pools know no explicit padding'
    : pool(node, window);
};
