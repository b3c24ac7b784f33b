/** Convolutions, depthwise convolutions and matrix products with constant weights. */
import { intsAttr, stringAttr } from '../../src/graph/attrs';
import { output } from '../../src/graph/edit';
import type { GraphNode } from '../../src/graph/ir';
import { filterChannel, type LinearOp, readLinearOp } from '../../src/passes/linear-op';
import { type FilterCodes, quantizeBias, quantizeFilter } from '../../src/quantization/affine';
import { biasCorrection } from '../../src/quantization/bias-correction';
import type { OnnxBuilder } from './builder';
import { clamp } from './clamp';
import { transpose } from './layout';
import type { AttributeValue } from './model';

/** The weights as ONNX lays them out, by their layout in the graph. */
interface FilterLayout {
  readonly shape: readonly number[];
  readonly channelAxis: number;
  place<T extends Float32Array | Int8Array>(values: T): T;
}

function layoutOf(op: LinearOp): FilterLayout {
  if (op.kind === 'matmul') {
    const [rows, columns] = op.filter.shape;
    if (!op.transposed) return { shape: [rows, columns], channelAxis: 1, place: (values) => values };
    return {
      shape: [columns, rows],
      channelAxis: 1,
      place: (values) => transpose(values, [rows, columns], [1, 0]),
    };
  }
  const [height, width, inputs, last] = op.filter.shape;
  if (op.kind === 'conv') {
    const shape = [last, inputs, height, width];
    return { shape, channelAxis: 0, place: (values) => transpose(values, op.filter.shape, [3, 2, 0, 1]) };
  }
  const shape = [inputs * last, 1, height, width];
  return { shape, channelAxis: 0, place: (values) => transpose(values, op.filter.shape, [2, 3, 0, 1]) };
}

/** Codes and scales of the weights, in the order of the graph. */
function quantize(op: LinearOp, builder: OnnxBuilder, inputScale: number): FilterCodes {
  const values = op.filter.values as Float32Array;
  const channel = filterChannel(op);
  const filter = quantizeFilter(values, channel, op.channels, op.bias, inputScale);
  if (!builder.narrowWeights) return filter;
  const scales = filter.scales.map((s) => s * 2);
  return { codes: Int8Array.from(values, (value, i) => Math.round(value / scales[channel(i)])), scales };
}

/** The input channel of each weight, by flat index. */
function inputChannel({ kind, transposed, filter: { shape }, channels }: LinearOp): (i: number) => number {
  if (kind === 'depthwise') return (i) => Math.floor(i / shape[3]) % shape[2];
  if (transposed) return (i) => i % shape[1];
  const depth = kind === 'conv' ? shape[2] : shape[0];
  return (i) => Math.floor(i / channels) % depth;
}

/** The bias, with what makes up for the rounding of the weights as our converter does it. */
function correctedBias(op: LinearOp, filter: FilterCodes, builder: OnnxBuilder): Float64Array | undefined {
  const means = builder.meansOf(op.input);
  const values = op.filter.values as Float32Array;
  const correction =
    means &&
    biasCorrection({
      values,
      ...filter,
      outputChannel: filterChannel(op),
      inputChannel: inputChannel(op),
      means,
    });
  if (!op.bias && !correction) return undefined;
  return Float64Array.from({ length: op.channels }, (_, c) => (op.bias?.[c] ?? 0) + (correction?.[c] ?? 0));
}

function quantizedParameters(op: LinearOp, builder: OnnxBuilder, layout: FilterLayout): string[] {
  const { channels, filterName: name } = op;
  const { scale } = builder.paramsOf(op.input)!;
  const filter = quantize(op, builder, scale);
  const { codes, scales } = filter;
  const bias = correctedBias(op, filter, builder);
  const weights = builder.node(
    'DequantizeLinear',
    [
      builder.constant(`${name}/codes`, 'int8', layout.shape, layout.place(codes)),
      builder.constant(`${name}/scales`, 'float32', [channels], scales),
      builder.constant(`${name}/zeros`, 'int8', [channels], new Int8Array(channels)),
    ],
    { axis: layout.channelAxis },
  );
  if (!bias) return [weights];
  const biasScales = Float32Array.from(scales, (s) => s * scale);
  return [
    weights,
    builder.node(
      'DequantizeLinear',
      [
        builder.constant(`${name}/bias`, 'int32', [channels], quantizeBias(bias, scales, scale)),
        builder.constant(`${name}/biasScales`, 'float32', [channels], biasScales),
        builder.constant(`${name}/biasZeros`, 'int32', [channels], new Int32Array(channels)),
      ],
      { axis: 0 },
    ),
  ];
}

function parameters(op: LinearOp, builder: OnnxBuilder): string[] {
  const layout = layoutOf(op);
  if (builder.quantizesWeightsOf(op.node)) return quantizedParameters(op, builder, layout);
  const { filterName: name, filter, bias, channels } = op;
  const values = layout.place(filter.values as Float32Array);
  const weights = builder.constant(`${name}/weights`, 'float32', layout.shape, values);
  return bias ? [weights, builder.constant(`${name}/bias`, 'float32', [channels], bias)] : [weights];
}

/** TensorFlow's SAME: as many outputs as strides fit in, the odd element of padding after the end. */
function samePads(size: number, kernel: number, stride: number, dilation: number): [number, number] {
  const covered = (Math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1;
  const total = Math.max(covered - size, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** Attributes of a sliding window: kernel, strides, dilations, pads. */
export function windowAttributes(
  node: GraphNode,
  builder: OnnxBuilder,
  kernel: readonly number[],
): Record<string, AttributeValue> {
  const [, height, width] = builder.shape(node.inputs[0]);
  const strides = intsAttr(node, 'strides').slice(1, 3);
  const dilations = intsAttr(node, 'dilations').slice(1, 3);
  const [dilationH, dilationW] = [dilations[0] ?? 1, dilations[1] ?? 1];
  const common = { kernel_shape: kernel, strides, dilations: [dilationH, dilationW] };
  switch (stringAttr(node, 'padding')?.toUpperCase()) {
    case 'SAME': {
      if (height < 0 || width < 0) throw new Error(`The size of the input of '${node.name}' is not known.`);
      const [top, bottom] = samePads(height, kernel[0], strides[0], dilationH);
      const [left, right] = samePads(width, kernel[1], strides[1], dilationW);
      return { ...common, pads: [top, left, bottom, right] };
    }
    case 'EXPLICIT': {
      const [, , top, bottom, left, right] = intsAttr(node, 'explicit_paddings');
      return { ...common, pads: [top, left, bottom, right] };
    }
    default:
      return { ...common, pads: [0, 0, 0, 0] };
  }
}

/** @returns undefined for a node that is none of them */
export function translateWeighted(node: GraphNode, builder: OnnxBuilder): string | undefined {
  const op = readLinearOp(builder.graph, node);
  if (typeof op === 'string') return undefined;
  const rank = builder.shape(op.input).length;
  const inputs = [builder.read(op.input, rank), ...parameters(op, builder)];
  const linear = () => {
    if (op.kind === 'matmul') {
      if (rank !== 2) throw new Error(`'${node.name}' multiplies a tensor of rank ${rank}.`);
      return builder.node('Gemm', inputs);
    }
    const [height, width, channels] = op.filter.shape;
    const group = op.kind === 'depthwise' ? channels : 1;
    return builder.node('Conv', inputs, { ...windowAttributes(node, builder, [height, width]), group });
  };
  const result = linear();
  return op.activation ? clamp(op.activation, result, builder, output(node.name)) : result;
}
