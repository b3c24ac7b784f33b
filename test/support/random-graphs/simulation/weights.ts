/** Weights and biases as the codes of a program stand for them, in the order of the float graph. */
import type { Constant, GraphNode } from '../../../../src/graph/ir';
import type { EncodedLayer } from '../../../../src/passes/quantize/lower/encode-layer';
import {
  type FilterRef,
  type Op,
  type Program,
  TensorType,
  WeightFormat,
} from '../../../../src/program/program';
import type { FilterCodes } from '../../../../src/quantization/affine';
import { decodeMatrix } from '../../../../src/quantization/formats/decode';
import { rotateRows, roundHalfToEven } from './rounding';

/** Symmetric codes, with a scale a channel. */
function roundedByChannel(
  { values, shape }: Constant,
  channelOf: (i: number) => number,
  scaleOf: (magnitudes: readonly number[]) => number,
): Constant {
  const magnitudes = new Map<number, number[]>();
  values.forEach((w, i) => {
    const channel = channelOf(i);
    const known = magnitudes.get(channel);
    if (known) known.push(Math.abs(w));
    else magnitudes.set(channel, [Math.abs(w)]);
  });
  const scales = new Map([...magnitudes].map(([channel, of]) => [channel, scaleOf(of)]));
  const rounded = Float32Array.from(values, (w, i) => {
    const scale = scales.get(channelOf(i))!;
    return scale === 0 ? 0 : roundHalfToEven(w / scale) * scale;
  });
  return { dtype: 'float32', shape, values: rounded };
}

const int8Scale = (magnitudes: readonly number[]) => Math.max(...magnitudes) / 127;

/** As fine as sums of products with int16 activations allow. */
const int16Scale = (magnitudes: readonly number[]) =>
  Math.max(
    Math.max(...magnitudes) / 32767,
    magnitudes.reduce((sum, m) => sum + m, 0) / ((65536 - magnitudes.length) * (1 - 2 ** -20)),
  );

/** Where the weights of a node lie. */
interface WeightLayout {
  /** The output channel of each. */
  channelOf(i: number): number;
  /** The channel of the input that it multiplies. */
  inputOf(i: number): number;
  /** Its place among the rows of a program. */
  rowMajor(i: number): number;
}

export function weightLayout({ op, attrs }: GraphNode, { shape }: Constant): WeightLayout {
  const last = shape.at(-1)!;
  const count = shape.reduce((product, d) => product * d, 1);
  if (op === 'Conv2DBackpropInput') {
    const [, , channels, depth] = shape;
    const channelOf = (i: number) => Math.floor(i / depth) % channels;
    return { channelOf, inputOf: (i) => i % depth, rowMajor: () => Number.NaN };
  }
  if (op.includes('Depthwise')) {
    const channels = shape[2] * shape[3];
    return {
      channelOf: (i) => i % channels,
      inputOf: (i) => Math.floor(i / last) % shape[2],
      rowMajor: (i) => i,
    };
  }
  const transposed = op.includes('MatMul') && (attrs.transpose_b?.b === true || attrs.adj_y?.b === true);
  if (transposed)
    return { channelOf: (i) => Math.floor(i / last), inputOf: (i) => i % last, rowMajor: (i) => i };
  const depth = count / last;
  return {
    channelOf: (i) => i % last,
    inputOf: (i) => Math.floor(i / last) % shape.at(-2)!,
    rowMajor: (i) => (i % last) * depth + Math.floor(i / last),
  };
}

/** Low-bit weights in the program's order, those of rotated inputs rotated back. */
function decodedWeights(
  { matrix, rotation }: EncodedLayer,
  { op }: GraphNode,
  { shape }: Constant,
): Float32Array {
  const decoded = decodeMatrix(matrix);
  const depth = op.includes('Conv') ? shape[2] : matrix.depth;
  return rotation ? rotateRows(decoded, { ...rotation, depth, inverse: true }) : decoded;
}

/** Nodes that multiply by weights, their second input. */
export const LAYER = /^(_?Fused)?(Conv2D|DepthwiseConv2d|MatMul|BatchMatMul)/;

export interface Bias {
  readonly values: Float32Array;
  /** What a channel's bias is rounded to. */
  step(channel: number): number;
}

/** The bias of an op in real units. */
export function readBias(
  op: Op & { filter: FilterRef },
  program: Program,
  bytes: DataView,
): Bias | undefined {
  const { filter } = op;
  const channels =
    'outFeatures' in op
      ? op.outFeatures
      : 'outChannels' in op
        ? op.outChannels
        : 'multiplier' in op
          ? op.channels * op.multiplier
          : 0;
  const { type, scale } = program.tensors[op.inputs[0]];
  const whole = filter.format === WeightFormat.Int8 && type === TensorType.Int8;
  const step = (c: number) => (whole ? scale * bytes.getFloat32(filter.scaleOffset + 4 * c, true) : 0);
  const { biasOffset } = filter;
  if (biasOffset === undefined) return { values: new Float32Array(channels), step };
  const values = Float32Array.from({ length: channels }, (_, c) =>
    whole ? bytes.getInt32(biasOffset + 4 * c, true) * step(c) : bytes.getFloat32(biasOffset + 4 * c, true),
  );
  return { values, step };
}

/** How a layer's weights are stored. */
export interface StoredWeights {
  readonly encoded?: EncodedLayer;
  /** Codes that were not rounded to the nearest. */
  readonly rounded?: FilterCodes;
  readonly int16?: boolean;
}

/** The weights of a layer as its codes stand for them. */
export function storedWeights(
  node: GraphNode,
  constant: Constant,
  { encoded, rounded, int16 = false }: StoredWeights,
  { channelOf, rowMajor }: Pick<WeightLayout, 'channelOf' | 'rowMajor'> = weightLayout(node, constant),
): Constant {
  if (!encoded && !rounded) return roundedByChannel(constant, channelOf, int16 ? int16Scale : int8Scale);
  const decoded = encoded && decodedWeights(encoded, node, constant);
  const values = Float32Array.from(constant.values, (_, i) =>
    decoded ? decoded[rowMajor(i)] : rounded!.codes[rowMajor(i)] * rounded!.scales[channelOf(i)],
  );
  return { ...constant, values };
}
