/** Shapes of convolutions and pools, and of the ops that spread an image over a batch and back. */
import { intsAttr, numberAttr, stringAttr } from '../attrs';
import type { GraphNode } from '../ir';
import { invalid, type ManyRule, type Rule, type Shape, shapeOf, sizesOf, valuesOf } from './known';

function windowOutput(
  size: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: string | undefined,
  explicit: readonly [before: number, after: number],
): number {
  if (size < 0 || kernel < 0) return -1;
  const extent = (kernel - 1) * dilation + 1;
  if (padding === 'SAME') return Math.ceil(size / stride);
  const padded = padding === 'EXPLICIT' ? size + explicit[0] + explicit[1] : size;
  return padded < extent ? 0 : Math.floor((padded - extent) / stride) + 1;
}

/** Channel-last convolution and pooling: the spatial sizes of the output. */
function windowShape(node: GraphNode, input: Shape, kernel: Shape, channels: number): Shape {
  const rank = kernel.length + 2;
  if (input.length !== rank) {
    throw invalid(node, `expected an input of rank ${rank} but its shape is [${input}].`);
  }
  const [strides, dilations, explicit] = ['strides', 'dilations', 'explicit_paddings'].map((name) =>
    intsAttr(node, name),
  );
  const padding = stringAttr(node, 'padding')?.toUpperCase();
  const spatial = kernel.map((size, i) => {
    const axis = i + 1;
    const pads = [explicit[axis * 2] ?? 0, explicit[axis * 2 + 1] ?? 0] as const;
    return windowOutput(input[axis], size, strides[axis] ?? 1, dilations[axis] ?? 1, padding, pads);
  });
  if (spatial.includes(0)) {
    throw invalid(node, `its ${kernel.join('x')} window does not fit an input of shape [${input}].`);
  }
  return [input[0], ...spatial, channels];
}

function isChannelsLast(node: GraphNode): boolean {
  const format = stringAttr(node, 'data_format')?.toUpperCase() ?? 'NHWC';
  return format === 'NHWC' || format === 'NDHWC';
}

/** A convolution over as many axes as its filter has beside channels. */
export const convolution: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const filter = shapeOf(known, node.inputs[1]);
  if (!filter || !isChannelsLast(node)) return undefined;
  const rank = node.op === 'Conv3D' ? 5 : 4;
  if (filter.length !== rank || filter.some((d) => d === 0)) {
    const count = rank === 4 ? 'four' : 'five';
    throw invalid(node, `expected a filter of ${count} positive dimensions but its shape is [${filter}].`);
  }
  const [inChannels, last] = filter.slice(-2);
  const channels = input?.at(-1) ?? -1;
  if (input?.length === rank && channels >= 0 && inChannels >= 0 && channels !== inChannels) {
    throw invalid(node, `its filter has ${inChannels} input channels but its input has ${channels}.`);
  }
  const isDepthwise = node.op.includes('Depthwise');
  const outChannels =
    isDepthwise && inChannels >= 0 && last >= 0 ? inChannels * last : isDepthwise ? -1 : last;
  if (!input) return new Array<number>(rank).fill(-1).with(-1, outChannels);
  return windowShape(node, input, filter.slice(0, -2), outChannels);
};

export const pooling: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  if (!input || !isChannelsLast(node)) return undefined;
  const sizes = intsAttr(node, 'ksize');
  const kernel = Array.from({ length: node.op.endsWith('3D') ? 3 : 2 }, (_, i) => sizes[i + 1] ?? 1);
  return windowShape(node, input, kernel, input.at(-1) ?? -1);
};

/** Maxima, and where they were. */
export const poolingWithPlaces: ManyRule = (node, known) => {
  const shape = pooling(node, known);
  return [shape, shape];
};

/** The filter [height, width, channels] has no output channels. */
export const dilation: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const filter = shapeOf(known, node.inputs[1]);
  if (!input || filter?.length !== 3) return undefined;
  const rates = intsAttr(node, 'rates');
  const spread = filter.slice(0, 2).map((d, i) => (d < 0 ? -1 : (d - 1) * (rates[i + 1] ?? 1) + 1));
  return windowShape(node, input, spread, filter[2]);
};

/** Inputs: output shape, filter, input. */
export const transposedConvolution: Rule = (node, known) => {
  const size = valuesOf(known, node.inputs[0]);
  const filter = shapeOf(known, node.inputs[1]);
  const input = shapeOf(known, node.inputs[2]);
  if (size?.length === 4)
    return sizesOf(size).map((d, axis) => (d < 0 && axis === 3 ? (filter?.[2] ?? -1) : d));
  return filter && [input?.[0] ?? -1, -1, -1, filter[2]];
};

/** SpaceToDepth, or DepthToSpace, of NHWC data. */
export const blocks =
  (toSpace: boolean): Rule =>
  (node, known) => {
    const input = shapeOf(known, node.inputs[0]);
    const block = numberAttr(node, 'block_size');
    if (input?.length !== 4 || !block || !isChannelsLast(node)) return undefined;
    const times = (d: number, factor: number) => (d < 0 ? -1 : d * factor);
    const side = toSpace ? block : 1 / block;
    const depth = toSpace ? 1 / block ** 2 : block ** 2;
    return [input[0], times(input[1], side), times(input[2], side), times(input[3], depth)];
  };

/** SpaceToBatchND pads and divides the axes behind the batch by the block, BatchToSpaceND multiplies and crops them. */
export const blocksOfBatch =
  (toSpace: boolean): Rule =>
  (node, known) => {
    const input = shapeOf(known, node.inputs[0]);
    const axes = shapeOf(known, node.inputs[1])?.[0] ?? -1;
    if (!input || axes < 0) return undefined;
    const block = valuesOf(known, node.inputs[1]) ?? new Array<number>(axes).fill(Number.NaN);
    const borders = valuesOf(known, node.inputs[2]) ?? [];
    const count = block.reduce((product, b) => product * b, 1);
    const side = (size: number, i: number) => {
      const border = borders[2 * i] + borders[2 * i + 1];
      return toSpace ? size * block[i] - border : (size + border) / block[i];
    };
    const spatial = input.slice(1, block.length + 1).map((size, i) => (size < 0 ? -1 : side(size, i)));
    const batch = input[0] < 0 ? -1 : toSpace ? input[0] / count : input[0] * count;
    return [...sizesOf([batch, ...spatial]), ...input.slice(block.length + 1)];
  };

/** Crops of images, one a box, in one size. */
export const cropAndResize: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const boxes = shapeOf(known, node.inputs[1]);
  const [height, width] = valuesOf(known, node.inputs[3]) ?? [Number.NaN, Number.NaN];
  return input && [boxes?.[0] ?? -1, ...sizesOf([height, width]), input[3]];
};

/** Values that are resized to a size of their own. */
export const resize: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const [height, width] = valuesOf(known, node.inputs[1]) ?? [Number.NaN, Number.NaN];
  return input && [input[0], ...sizesOf([height, width]), input[3]];
};
