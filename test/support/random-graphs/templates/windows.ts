/** Convolutions, pools, resizing, and what spreads pixels over channels or a batch. */
import { attr } from '../../../../src/graph/attrs';
import type { RawAttr } from '../../../../src/graph/ir';
import { fusedAttrs } from '../../float-graph';
import { type Drawing, type Drawn, elements } from '../drawing';
import { batchOf, each, FUSED, fanIn, fixed, INT, shapeOf, shapeVector, type Table } from './template';

interface WindowOptions {
  readonly kernel: readonly number[];
  readonly explicit?: boolean;
  readonly dilated?: boolean;
}

/** Attributes of a window over as many axes as its kernel has. */
function windowOf(
  d: Drawing,
  { kernel, explicit = false, dilated = false }: WindowOptions,
): Record<string, RawAttr> {
  const { random } = d;
  const axes = kernel.length;
  const dilations = dilated && random.chance(0.25) ? kernel.map(() => random.int(1, 2)) : kernel.map(() => 1);
  const strided = dilations.every((dilation) => dilation === 1);
  const even = random.chance(0.8);
  const stride = random.pick([1, 1, 1, 2, 2, 3]);
  const strides = kernel.map(() => (strided ? (even ? stride : random.int(1, 3)) : 1));
  const padding = random.pick(['SAME', 'SAME', 'VALID', ...(explicit ? ['EXPLICIT'] : [])]);
  const pads = kernel.flatMap((size) => [
    random.int(0, Math.max(0, size - 1)),
    random.int(0, Math.max(0, size - 1)),
  ]);
  return {
    strides: attr.ints([1, ...strides, 1]),
    dilations: attr.ints([1, ...dilations, 1]),
    padding: attr.string(padding),
    data_format: attr.string(axes === 3 ? 'NDHWC' : 'NHWC'),
    ...(padding === 'EXPLICIT' && { explicit_paddings: attr.ints([0, 0, ...pads, 0, 0]) }),
  };
}

function kernelFor(d: Drawing, from: Drawn, axes = 2): number[] {
  const square = d.random.chance(0.7);
  const first = d.random.pick([1, 1, 2, 3, 3]);
  return Array.from({ length: axes }, (_, i) =>
    Math.min(square ? first : d.random.int(1, 4), Math.max(1, shapeOf(from)[i + 1])),
  );
}

function convolution(d: Drawing, op: string): Promise<Drawn[]> {
  const from = d.ofRank(4);
  const channels = shapeOf(from)[3];
  const kernel = kernelFor(d, from);
  const depthwise = op.includes('Depthwise');
  const last = depthwise ? d.random.pick([1, 1, 1, 2]) : d.random.int(1, 6);
  const taps = elements(kernel);
  const filter = d.weights([...kernel, channels, last], fanIn(depthwise ? taps : taps * channels));
  const attrs = windowOf(d, { kernel, explicit: true, dilated: true });
  if (!op.includes('Fused')) return d.add(op, [from, filter], attrs);
  const outputs = depthwise ? channels * last : last;
  return d.add(op, [from, filter, d.weights([outputs], 0.5)], {
    ...attrs,
    ...fusedAttrs(d.random.pick(FUSED)),
  });
}

function transposedConvolution(d: Drawing): Promise<Drawn[]> {
  const from = d.any((tensor) => shapeOf(tensor).length === 4 && fixed(tensor, 1) && fixed(tensor, 2));
  const [, height, width, channels] = shapeOf(from);
  const kernel = kernelFor(d, from);
  const stride = d.random.int(1, 2);
  const padding = d.random.pick(['SAME', 'VALID']);
  const side = (size: number, k: number) => (padding === 'SAME' ? size * stride : (size - 1) * stride + k);
  const outputs = d.random.int(1, 4);
  const filter = d.weights(
    [...kernel, outputs, channels],
    fanIn((elements(kernel) * channels) / stride ** 2),
  );
  const attrs = {
    strides: attr.ints([1, stride, stride, 1]),
    dilations: attr.ints([1, 1, 1, 1]),
    padding: attr.string(padding),
    data_format: attr.string('NHWC'),
  };
  const target = [shapeOf(from)[0], side(height, kernel[0]), side(width, kernel[1]), outputs];
  return withSize(d, from, target, (size) => d.add('Conv2DBackpropInput', [size, filter, from], attrs));
}

/** A size as a vector: all of it constant, or with what the batch is at run time. */
async function withSize<R>(
  d: Drawing,
  from: Drawn,
  target: readonly number[],
  body: (size: Drawn | string) => Promise<R>,
): Promise<R> {
  if (fixed(from, 0)) return body(d.ints(target));
  const batch = await batchOf(d, from);
  const parts = target.map((size, i) => (i === 0 ? batch : d.ints([size], [])));
  return body(await d.one('Pack', parts, { ...INT, N: attr.int(parts.length), axis: attr.int(0) }));
}

function pooling(d: Drawing, op: string): Promise<Drawn[]> {
  const axes = op.endsWith('3D') ? 3 : 2;
  const from = d.ofRank(axes + 2);
  const kernel = kernelFor(d, from, axes);
  return d.add(op, [from], { ...windowOf(d, { kernel }), ksize: attr.ints([1, ...kernel, 1]) });
}

const flags = (d: Drawing) => {
  const centers = d.random.chance(0.4);
  return {
    half_pixel_centers: attr.bool(centers),
    align_corners: attr.bool(!centers && d.random.chance(0.4)),
  };
};

export const WINDOWS: Table = {
  ...each(
    'Conv2D _FusedConv2D DepthwiseConv2dNative DepthwiseConv2d FusedDepthwiseConv2dNative',
    (op) => (d) => convolution(d, op),
  ),
  Conv3D: (d) => {
    const from = d.ofRank(5);
    const kernel = kernelFor(d, from, 3);
    const channels = shapeOf(from)[4];
    const filter = d.weights([...kernel, channels, d.random.int(1, 3)], fanIn(elements(kernel) * channels));
    return d.add('Conv3D', [from, filter], windowOf(d, { kernel }));
  },
  Conv2DBackpropInput: transposedConvolution,
  ...each('MaxPool AvgPool MaxPool3D AvgPool3D', (op) => (d) => pooling(d, op)),
  MaxPoolWithArgmax: (d) => {
    const from = d.ofRank(4);
    const kernel = kernelFor(d, from);
    const attrs = {
      ksize: attr.ints([1, ...kernel, 1]),
      strides: attr.ints([1, 2, 2, 1]),
      padding: attr.string(d.random.pick(['SAME', 'VALID'])),
      include_batch_in_index: attr.bool(false),
    };
    return d.add('MaxPoolWithArgmax', [from], attrs, 2);
  },
  Dilation2D: (d) => {
    const from = d.ofRank(4);
    const kernel = kernelFor(d, from);
    return d.add('Dilation2D', [from, d.weights([...kernel, shapeOf(from)[3]], 0.5)], {
      strides: attr.ints([1, 1, 1, 1]),
      rates: attr.ints([1, 1, 1, 1]),
      padding: attr.string(d.random.pick(['SAME', 'VALID'])),
    });
  },
  DepthToSpace: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length === 4 && shapes[0][3] % 4 === 0);
    return d.add('DepthToSpace', [from], { block_size: attr.int(2), data_format: attr.string('NHWC') });
  },
  ...each('SpaceToBatchND BatchToSpaceND', () => (d) => dilatedByBatch(d)),
  ...each('ResizeBilinear ResizeNearestNeighbor', (op) => async (d) => {
    const from = d.ofRank(4);
    const size = [d.random.int(1, 10), d.random.int(1, 10)];
    if (d.random.chance(0.6)) return d.add(op, [from, d.ints(size)], flags(d));
    const shape = await shapeVector(d, from);
    const sides = await d.one('Slice', [shape, d.ints([1]), d.ints([2])], {
      ...INT,
      Index: attr.dtype('int32'),
    });
    return d.add(op, [from, await d.one('Mul', [sides, d.ints([2])], INT)], flags(d));
  }),
  CropAndResize: (d) => {
    const from = d.ofRank(4);
    const boxes = d.constant([3, 4], [0, 0, 1, 1, 0.2, 0.1, 0.8, 0.9, 0.5, 0.5, 0, 0]);
    return d.add('CropAndResize', [from, boxes, d.ints([0, 0, 0]), d.ints([3, 4])], {
      method: attr.string(d.random.pick(['bilinear', 'nearest'])),
      extrapolation_value: attr.float(0),
    });
  },
};

/** A dilated convolution as TensorFlow 1 wrote it: the image is spread over the batch. */
async function dilatedByBatch(d: Drawing): Promise<unknown> {
  const from = d.ofRank(4);
  const [, height, width, channels] = shapeOf(from);
  d.need(height >= 3 && width >= 3);
  const block = d.ints([2, 2]);
  const pad = (size: number) => [1, size % 2 === 0 ? 1 : 2];
  const spread = await d.one('SpaceToBatchND', [
    from,
    block,
    d.ints([...pad(height), ...pad(width)], [2, 2]),
  ]);
  const depthwise = d.random.chance(0.5);
  const filter = d.weights([2, 2, channels, depthwise ? 1 : 3], fanIn(4 * (depthwise ? 1 : channels)));
  const inner = await d.one(depthwise ? 'DepthwiseConv2dNative' : 'Conv2D', [spread, filter], {
    strides: attr.ints([1, 1, 1, 1]),
    dilations: attr.ints([1, 1, 1, 1]),
    padding: attr.string('VALID'),
    data_format: attr.string('NHWC'),
  });
  const crop = (size: number) => [0, size % 2];
  return d.add('BatchToSpaceND', [inner, block, d.ints([...crop(height), ...crop(width)], [2, 2])]);
}
