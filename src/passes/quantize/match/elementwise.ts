/** Arithmetic of two tensors, and a scale and shift of each channel that could not be folded into weights. */
import { constantOf, output, refKey } from '../../../graph/edit';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import { type BinaryKind, OpKind, PaddingMode, type Window } from '../../../program/program';
import { UNBOUNDED } from '../../../quantization/activation';
import { quantizeBias, quantizeFilter } from '../../../quantization/affine';
import { BATCH_NORMS, batchNormAffine, type ChannelAffine } from '../../fold-batch-norm';
import { perChannel } from '../../linear-op';
import { appendConstant, appendInt8Filter } from '../lower/filters';
import { appendFloatAffine } from '../lower/float-functions';
import type { ProgramBuilder } from '../lower/program-builder';
import { storeResult } from '../lower/store';
import type { ChannelAffineOp, Elementwise, Facts, FloatForm, Matcher } from './quantizable';

const BINARY = new Set(['Add', 'AddV2', 'BiasAdd', 'Sub', 'Mul', 'RealDiv', 'Maximum', 'Minimum']);

const POINT: Window = { kernel: [1, 1], strides: [1, 1], padding: { mode: PaddingMode.Valid } };

/** scale[c] * x + shift[c] is a depthwise convolution with a 1x1 kernel. */
function channelAffine(node: GraphNode, from: TensorRef, affine: ChannelAffine): ChannelAffineOp {
  const { scale, shift } = affine;
  const channels = scale.length;
  return {
    kind: 'channelAffine',
    activations: [from],
    affine,
    lowerFloat(builder, result, { clamp }) {
      const [factor, summand] = [Float32Array.from(scale), Float32Array.from(shift)];
      appendFloatAffine(builder, node.name, from, result, { factor, summand, clamp });
    },
    lower(builder, store) {
      const input = builder.read(from);
      const weights = Float32Array.from(scale);
      const inputScale = builder.paramsOf(input).scale;
      const quantized = quantizeFilter(weights, (i) => i, channels, Float32Array.from(shift), inputScale);
      const filter = appendInt8Filter(
        builder.weights,
        quantized,
        quantizeBias(shift, quantized.scales, inputScale),
      );
      builder.op({
        kind: OpKind.DepthwiseConv2D,
        name: node.name,
        inputs: [input],
        filter,
        channels,
        multiplier: 1,
        window: POINT,
        ...storeResult(builder, store),
      });
    },
  };
}

function constantAffine(
  node: GraphNode,
  channels: number,
  facts: Facts,
): { from: TensorRef; affine: ChannelAffine } | undefined {
  const [a, b] = node.inputs;
  const swapped = constantOf(facts.graph, a) !== undefined;
  const [from, constant] = swapped ? [b!, constantOf(facts.graph, a)] : [a!, constantOf(facts.graph, b)];
  const values = perChannel(constant, channels);
  const shape = facts.shapes.get(refKey(from));
  if (!values || shape?.length !== 4 || shape[3] !== channels) return undefined;
  const ones = new Float64Array(channels).fill(1);
  const zeros = new Float64Array(channels);
  switch (node.op) {
    case 'Mul':
      return { from, affine: { scale: Float64Array.from(values), shift: zeros } };
    case 'RealDiv':
      return swapped
        ? undefined
        : { from, affine: { scale: Float64Array.from(values, (v) => 1 / v), shift: zeros } };
    case 'Sub': {
      const sign = swapped ? 1 : -1;
      return {
        from,
        affine: { scale: ones.map((v) => -sign * v), shift: Float64Array.from(values, (v) => sign * v) },
      };
    }
    default:
      return { from, affine: { scale: ones, shift: Float64Array.from(values) } };
  }
}

const KINDS: Readonly<Record<string, BinaryKind>> = {
  Add: OpKind.Add,
  BiasAdd: OpKind.Add,
  AddV2: OpKind.Add,
  Sub: OpKind.Sub,
  Mul: OpKind.Mul,
  Maximum: OpKind.Maximum,
  Minimum: OpKind.Minimum,
};

function binary(node: GraphNode, facts: Facts): Elementwise | string {
  const opKind = KINDS[node.op];
  if (!opKind) return `${node.op} of two activations has no quantized form`;
  const operands = node.inputs.slice(0, 2);
  const constants = operands.map((ref) => constantOf(facts.graph, ref));
  if (constants.every((constant) => constant)) return 'both of its operands are constant';
  if (operands.some((ref) => !facts.shapes.get(refKey(ref)))) return 'the shapes of its inputs are not known';
  return {
    kind: 'elementwise',
    activations: operands.filter((_, i) => !constants[i]),
    ...(constants.every((constant) => !constant) && {
      lowerFloat(builder: ProgramBuilder, result: TensorRef, { clamp = UNBOUNDED }: FloatForm) {
        const [floatMin, floatMax] = clamp;
        const inputs = operands.map((ref) => builder.dequantized(ref));
        const output = builder.floatResult(result);
        builder.op({ kind: opKind, name: node.name, inputs, output, activation: { floatMin, floatMax } });
      },
    }),
    lower(builder, store) {
      const inputs = operands.map((ref, i) =>
        constants[i] ? appendConstant(builder, node.name, constants[i]) : builder.read(ref),
      );
      builder.op({ kind: opKind, name: node.name, inputs, ...storeResult(builder, store) });
    },
  };
}

export const matchElementwise: Matcher = (node, facts) => {
  const shape = facts.shapes.get(refKey(output(node.name)));
  const channels = shape?.length === 4 ? shape[3] : 0;
  if (BATCH_NORMS.has(node.op)) {
    const affine = batchNormAffine(facts.graph, node);
    return affine && affine.scale.length === channels
      ? channelAffine(node, node.inputs[0], affine)
      : 'its parameters are not constant vectors';
  }
  if (!BINARY.has(node.op)) return undefined;
  const match =
    channels > 0 && node.op !== 'Maximum' && node.op !== 'Minimum'
      ? constantAffine(node, channels, facts)
      : undefined;
  return match ? channelAffine(node, match.from, match.affine) : binary(node, facts);
};
