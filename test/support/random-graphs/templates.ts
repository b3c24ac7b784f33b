/** How each op is drawn. An op that TF.js refuses where it is drawn is discarded, so that templates may be careless. */
import { attr } from '../../../src/graph/attrs';
import type { RawAttr } from '../../../src/graph/ir';
import { fusedAttrs } from '../float-graph';
import { type Drawing, type Drawn, elements, T } from './drawing';

export type Template = (d: Drawing) => Promise<unknown>;

type Table = Readonly<Record<string, Template>>;

const DT = { dtype: attr.dtype('float32') };
const INT = { T: attr.dtype('int32') };
const BOOL = { T: attr.dtype('bool') };

const each = (ops: string, template: (op: string) => Template): Table =>
  Object.fromEntries(ops.split(' ').map((op) => [op, template(op)]));

const shapeOf = ({ shapes }: Drawn) => shapes[0];

const same = (a: Drawn, b: Drawn) => a.shapes.every((shape, i) => shape.join() === b.shapes[i].join());

/** Whether an axis has the same size in every sample. */
const fixed = ({ shapes }: Drawn, axis: number) =>
  shapes.every((shape) => shape.at(axis) === shapes[0].at(axis));

/** An axis as counted from either end. */
const written = (d: Drawing, axis: number, rank: number) => (d.random.chance(0.5) ? axis : axis - rank);

/** An axis that is not the batch, in a tensor that has one. */
function innerAxis(d: Drawing, from: Drawn): number {
  const rank = shapeOf(from).length;
  d.need(rank >= 2);
  return d.random.int(1, rank - 1);
}

// Functions of one number

const SIMPLE =
  'Relu Relu6 Elu Selu Sigmoid Tanh Softplus Softmax LogSoftmax Erf Neg Abs Square Exp Expm1 Sign Ceil Floor Round Sin ' +
  'Cos Sinh Cosh Atan Asinh StopGradient Identity Snapshot ZerosLike OnesLike';

/** Each behind what keeps its argument where it is defined. */
const DOMAINS: Readonly<Record<string, (d: Drawing, x: Drawn) => Promise<Drawn>>> = {
  Sqrt: async (d, x) => d.one('Abs', [x]),
  Rsqrt: async (d, x) => d.one('AddV2', [await d.one('Square', [x]), d.scalar(0.5)]),
  Log: async (d, x) => d.one('AddV2', [await d.one('Abs', [x]), d.scalar(0.3)]),
  Log1p: async (d, x) => d.one('Relu', [x]),
  Reciprocal: async (d, x) => d.one('AddV2', [await d.one('Softplus', [x]), d.scalar(0.3)]),
  Tan: async (d, x) => d.one('Tanh', [x]),
  Asin: async (d, x) => d.one('Mul', [await d.one('Tanh', [x]), d.scalar(0.9)]),
  Acos: async (d, x) => d.one('Mul', [await d.one('Tanh', [x]), d.scalar(0.9)]),
  Atanh: async (d, x) => d.one('Mul', [await d.one('Tanh', [x]), d.scalar(0.9)]),
  Acosh: async (d, x) => d.one('AddV2', [await d.one('Abs', [x]), d.scalar(1.1)]),
};

/** Positive, and not near zero. */
const positive = async (d: Drawing, x: Drawn) => d.one('AddV2', [await d.one('Abs', [x]), d.scalar(0.5)]);

/** Numbers 0 or 1 of a bool. */
const asFloat = (d: Drawing, x: Drawn) =>
  d.one('Cast', [x], { SrcT: attr.dtype(x.dtype), DstT: attr.dtype('float32') });

/** Where values are positive. */
const condition = (d: Drawing, x: Drawn) => d.one('Greater', [x, d.scalar(0)]);

const UNARY: Table = {
  ...each(SIMPLE, (op) => (d) => d.add(op, [d.any()])),
  ...each(Object.keys(DOMAINS).join(' '), (op) => async (d) => d.add(op, [await DOMAINS[op](d, d.any())])),
  LeakyRelu: (d) => d.add('LeakyRelu', [d.any()], { alpha: attr.float(d.random.pick([0.1, 0.2, 0.3])) }),
  Prelu: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length > 1);
    const channels = shapeOf(from).at(-1)!;
    const shape = d.random.pick([
      [channels],
      new Array(shapeOf(from).length - 1).fill(1).concat(channels),
      [1],
    ]);
    // TF.js wants an alpha of the input's rank, or a vector.
    return d.add('Prelu', [from, d.weights(shape, 0.05, 0.5)]);
  },
  ClipByValue: (d) =>
    d.add('ClipByValue', [d.any(), d.scalar(-d.random.real(0, 1)), d.scalar(d.random.real(0.2, 2))]),
  FakeQuantWithMinMaxVars: (d) =>
    d.add('FakeQuantWithMinMaxVars', [d.any(), d.scalar(-4), d.scalar(4)], {
      num_bits: attr.int(8),
      narrow_range: attr.bool(false),
    }),
  ...each('IsNan IsInf IsFinite', (op) => async (d) => asFloat(d, await d.one(op, [d.any()]))),
  Cast: async (d) => {
    const whole = await d.one('Cast', [d.any()], { SrcT: attr.dtype('float32'), DstT: attr.dtype('int32') });
    return d.random.chance(0.7) ? asFloat(d, whole) : whole;
  },
  LogicalNot: async (d) => asFloat(d, await d.one('LogicalNot', [await condition(d, d.any())], BOOL)),
  ...each('Cumsum Cumprod', (op) => async (d) => {
    const from = await d.one('Tanh', [d.any(({ shapes }) => shapes[0].length > 1)]);
    const rank = shapeOf(from).length;
    const axis = d.ints([innerAxis(d, from)], []);
    d.need(rank > 0);
    return d.add(op, [from, axis], {
      exclusive: attr.bool(d.random.chance(0.3)),
      reverse: attr.bool(d.random.chance(0.3)),
    });
  }),
  LRN: (d) =>
    d.add('LRN', [d.ofRank(4)], {
      depth_radius: attr.int(2),
      bias: attr.float(1),
      alpha: attr.float(0.5),
      beta: attr.float(0.5),
    }),
  MatrixBandPart: (d) =>
    d.add('MatrixBandPart', [
      d.any(({ shapes }) => shapes[0].length >= 2),
      d.ints([1], []),
      d.ints([-1], []),
    ]),
  ...each('FFT IFFT', (op) => (d) => fourier(d, op)),
  ...each('Real Imag ComplexAbs Complex', (op) => (d) => complex(d, op)),
  ...each('RFFT IRFFT', (op) => (d) => realFourier(d, op === 'IRFFT')),
};

function fourier(d: Drawing, op: string): Promise<Drawn[]> {
  const from = d.any(({ shapes }) => shapes[0].length >= 2);
  const [complexName, transformed, part] = [d.name(), d.name(), d.name()];
  return d.group(
    [
      { name: complexName, op: 'Complex', inputs: [from.name, from.name], attrs: T },
      { name: transformed, op, inputs: [complexName], attrs: { Tcomplex: attr.dtype('complex64') } },
      { name: part, op: d.random.pick(['Real', 'Imag', 'ComplexAbs']), inputs: [transformed] },
    ],
    [part],
  );
}

function complex(d: Drawing, op: string): Promise<Drawn[]> {
  const from = d.any(({ shapes }) => shapes[0].length >= 1);
  const [name, part] = [d.name(), d.name()];
  return d.group(
    [
      { name, op: 'Complex', inputs: [from.name, from.name], attrs: T },
      { name: part, op: op === 'Complex' ? 'Real' : op, inputs: [name] },
    ],
    [part],
  );
}

function realFourier(d: Drawing, back: boolean): Promise<Drawn[]> {
  const from = d.any(
    (tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, -1) && shapeOf(tensor).at(-1)! > 1,
  );
  const depth = shapeOf(from).at(-1)!;
  const [length, half, end] = [d.ints([depth]), d.name(), d.name()];
  return d.group(
    [
      { name: half, op: 'RFFT', inputs: [from.name, length] },
      back
        ? { name: end, op: 'IRFFT', inputs: [half, length] }
        : { name: end, op: 'ComplexAbs', inputs: [half] },
    ],
    [end],
  );
}

// Functions of two tensors

/** Another operand: a scalar, a value for each channel, a tensor of the same shape, or one that broadcasts. */
function operand(d: Drawing, a: Drawn): Drawn | string {
  const rank = shapeOf(a).length;
  switch (d.random.int(0, 4)) {
    case 0:
      return d.scalar(d.random.real(-2, 2));
    case 1: {
      const channels = shapeOf(a).at(-1) ?? 1;
      const ones = d.random.chance(0.5) ? [] : new Array<number>(Math.max(0, rank - 1)).fill(1);
      return d.weights([...ones, channels], 1.5);
    }
    case 2: {
      const shape = shapeOf(a).map((size, i) => (fixed(a, i) && d.random.chance(0.5) ? size : 1));
      return d.weights(shape, 1.5);
    }
    case 3: {
      const smaller = d.find(
        (b) =>
          b.dtype === 'float32' &&
          shapeOf(b).length <= rank &&
          b.shapes.every((shape, s) =>
            shape.every((size, i) => size === 1 || size === a.shapes[s][i - shape.length + rank]),
          ),
      );
      return smaller ?? a;
    }
    default:
      return d.find((b) => b.dtype === 'float32' && b !== a && same(a, b)) ?? a;
  }
}

const swapped = (d: Drawing, a: Drawn | string, b: Drawn | string) =>
  d.random.chance(0.3) ? [b, a] : [a, b];

const BINARY: Table = {
  ...each('Add AddV2 Sub Mul Maximum Minimum SquaredDifference Atan2', (op) => (d) => {
    const a = d.any();
    return d.add(op, swapped(d, a, operand(d, a)));
  }),
  ...each('RealDiv Div DivNoNan FloorDiv FloorMod Mod', (op) => async (d) => {
    const a = d.any();
    const b = operand(d, a);
    if (d.random.chance(0.5)) return d.add(op, [a, d.weights([shapeOf(a).at(-1) ?? 1], 0.5, 2)]);
    return d.add(op, [a, typeof b === 'string' ? d.scalar(d.random.real(0.5, 2)) : await positive(d, b)]);
  }),
  Pow: async (d) =>
    d.add('Pow', [await positive(d, await d.one('Tanh', [d.any()])), d.scalar(d.random.pick([0.5, 2, 1.5]))]),
  ...each('Equal NotEqual Greater GreaterEqual Less LessEqual', (op) => async (d) => {
    const a = d.any();
    const compared = await d.one(op, [a, operand(d, a)]);
    return d.random.chance(0.7) ? asFloat(d, compared) : compared;
  }),
  ...each('LogicalAnd LogicalOr', (op) => async (d) => {
    const a = d.any();
    return asFloat(d, await d.one(op, [await condition(d, a), await d.one('Less', [a, d.scalar(1)])], BOOL));
  }),
  ...each('Select SelectV2', (op) => async (d) => {
    const a = d.any();
    const b = d.find((other) => other.dtype === 'float32' && same(a, other)) ?? a;
    return d.add(op, [await condition(d, a), a, b]);
  }),
  AddN: (d) => {
    const a = d.any();
    const b = d.find((other) => other.dtype === 'float32' && same(a, other)) ?? a;
    return d.add('AddN', [a, b, a], { N: attr.int(3) });
  },
  BiasAdd: (d) => {
    const a = d.any(({ shapes }) => shapes[0].length >= 2);
    return d.add('BiasAdd', [a, d.weights([shapeOf(a).at(-1)!], 1)], { data_format: attr.string('NHWC') });
  },
  ...each('FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3', (op) => (d) => {
    const a = d.ofRank(4);
    const channels = [shapeOf(a)[3]];
    const parameters = [
      d.weights(channels, 0.5, 1.5),
      d.weights(channels, 1),
      d.weights(channels, 0.5),
      d.weights(channels, 0.4, 1.5),
    ];
    return d.add(op, [a, ...parameters], {
      is_training: attr.bool(false),
      data_format: attr.string('NHWC'),
      ...(d.random.chance(0.6) && { epsilon: attr.float(d.random.pick([1e-3, 1e-5])) }),
    });
  }),
};

// Windows

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

const FUSED = [
  ['BiasAdd'],
  ['BiasAdd', 'Relu'],
  ['BiasAdd', 'Relu6'],
  ['BiasAdd', 'Elu'],
  ['BiasAdd', 'LeakyRelu'],
  ['BiasAdd', 'Sigmoid'],
];

const fanIn = (count: number) => 1.7 / Math.sqrt(count);

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

const shapeVector = (d: Drawing, from: Drawn) => d.one('Shape', [from], { out_type: attr.dtype('int32') });

/** A size of one axis at run time, in one of the ways in which graphs read it. */
async function sizeOfAxis(d: Drawing, from: Drawn, axis: number): Promise<Drawn> {
  const shape = await shapeVector(d, from);
  const rank = shapeOf(from).length;
  switch (d.random.int(0, 2)) {
    case 0:
      return d.one('StridedSlice', [shape, d.ints([axis]), d.ints([axis + 1]), d.ints([1])], {
        ...INT,
        shrink_axis_mask: attr.int(1),
        begin_mask: attr.int(0),
        end_mask: attr.int(0),
        ellipsis_mask: attr.int(0),
        new_axis_mask: attr.int(0),
      });
    case 1:
      return d.one('GatherV2', [shape, d.ints([axis], []), d.ints([0], [])], {
        Tparams: attr.dtype('int32'),
        batch_dims: attr.int(0),
      });
    default: {
      const parts = await d.add('Unpack', [shape], { ...INT, axis: attr.int(0), num: attr.int(rank) }, rank);
      return parts[axis];
    }
  }
}

const batchOf = (d: Drawing, from: Drawn) => sizeOfAxis(d, from, 0);

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

const WINDOWS: Table = {
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

// Products

const matrixBound = (depth: number) => fanIn(depth);

const PRODUCTS: Table = {
  MatMul: (d) => {
    const from = d.ofRank(2);
    const [depth, outputs] = [shapeOf(from)[1], d.random.int(1, 8)];
    const transposed = d.random.chance(0.4);
    const filter = d.weights(transposed ? [outputs, depth] : [depth, outputs], matrixBound(depth));
    if (d.random.chance(0.15)) {
      const back = d.random.chance(0.5);
      return d.add('MatMul', [from, from], { transpose_a: attr.bool(back), transpose_b: attr.bool(!back) });
    }
    if (d.random.chance(0.1) && fixed(from, 0)) {
      const rows = d.weights([outputs, shapeOf(from)[0]], matrixBound(shapeOf(from)[0]));
      return d.add('MatMul', [rows, from], { transpose_a: attr.bool(false), transpose_b: attr.bool(false) });
    }
    return d.add('MatMul', [from, filter], {
      transpose_a: attr.bool(false),
      transpose_b: attr.bool(transposed),
    });
  },
  _FusedMatMul: (d) => {
    const from = d.ofRank(2);
    const [depth, outputs] = [shapeOf(from)[1], d.random.int(1, 8)];
    return d.add(
      '_FusedMatMul',
      [from, d.weights([depth, outputs], matrixBound(depth)), d.weights([outputs], 0.5)],
      { ...fusedAttrs(d.random.pick(FUSED)), transpose_a: attr.bool(false), transpose_b: attr.bool(false) },
    );
  },
  ...each('BatchMatMul BatchMatMulV2', (op) => (d) => {
    const from = d.ofRank(3, 4);
    const shape = shapeOf(from);
    const [rows, depth] = shape.slice(-2);
    const [x, y] = [d.random.chance(0.2), d.random.chance(0.4)];
    const attrs = { adj_x: attr.bool(x), adj_y: attr.bool(y) };
    const inner = x ? rows : depth;
    if (d.random.chance(0.5)) {
      const outputs = d.random.int(1, 6);
      const matrix = y ? [outputs, inner] : [inner, outputs];
      const leading = d.random.pick([[], [], new Array(shape.length - 2).fill(1), shape.slice(0, -2)]);
      const filter = d.weights([...leading, ...matrix], matrixBound(inner));
      return d.add(op, [from, filter], attrs);
    }
    const other = d.find(
      (b) =>
        b.dtype === 'float32' &&
        shapeOf(b).length === shape.length &&
        shapeOf(b).at(y ? -1 : -2) === inner &&
        b.shapes.every((s, i) => s.slice(0, -2).join() === from.shapes[i].slice(0, -2).join()),
    );
    return other
      ? d.add(op, [from, other], attrs)
      : d.add(op, [from, from], { adj_x: attr.bool(x), adj_y: attr.bool(!x) });
  }),
  Einsum: (d) => {
    const from = d.ofRank(2, 3, 4);
    const depth = shapeOf(from).at(-1)!;
    const letters = 'bhwd'.slice(0, shapeOf(from).length - 1);
    const [equation, inputs] = d.random.pick([
      [`${letters}c,ck->${letters}k`, [from, d.weights([depth, 3], matrixBound(depth))]],
      [`${letters}c,kc->${letters}k`, [from, d.weights([3, depth], matrixBound(depth))]],
      [`${letters}c,c->${letters}`, [from, d.weights([depth], matrixBound(depth))]],
      [`${letters}c,${letters}c->${letters}`, [from, from]],
    ] as [string, (Drawn | string)[]][]);
    return d.add('Einsum', inputs, { equation: attr.string(equation), N: attr.int(2) });
  },
};

// Reductions

function axesOf(d: Drawing, from: Drawn): number[] {
  const rank = shapeOf(from).length;
  d.need(rank >= 1);
  if (rank === 4 && d.random.chance(0.6)) return d.random.pick([[1, 2], [2, 1], [-3, -2], [-1]]);
  return [d.random.pick([-1, rank - 1, d.random.int(0, rank - 1)])];
}

const REDUCTIONS: Table = {
  ...each('Mean Sum Max Min Prod EuclideanNorm', (op) => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const bounded = op === 'Prod' ? await d.one('Tanh', [from]) : from;
    return d.add(op, [bounded, d.ints(axesOf(d, from))], { keep_dims: attr.bool(d.random.chance(0.5)) });
  }),
  ...each('Any All', (op) => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const reduced = await d.one(op, [await condition(d, from), d.ints(axesOf(d, from))], {
      keep_dims: attr.bool(false),
    });
    return asFloat(d, reduced);
  }),
  ...each('ArgMax ArgMin', (op) => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const places = await d.one(op, [from, d.ints([shapeOf(from).length - 1], [])], {
      output_type: attr.dtype('int32'),
    });
    return d.random.chance(0.5) ? asFloat(d, places) : places;
  }),
  TopKV2: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const k = d.ints([d.random.int(1, shapeOf(from).at(-1)!)], []);
    return d.add('TopKV2', [from, k], { sorted: attr.bool(true) }, 2);
  },
};

// Arranging

async function reshape(d: Drawing): Promise<unknown> {
  const from = d.any();
  const shape = shapeOf(from);
  const [batch, ...rest] = shape;
  const inner = elements(rest);
  const targets: number[][] = [
    [-1, inner],
    [-1],
    [batch, inner],
    [-1, inner, 1, 1],
    [...shape.slice(0, 1), -1],
  ];
  if (shape.length === 4) {
    targets.push([-1, rest[0] * rest[1], rest[2]], [0 + batch, rest[0] * rest[1], rest[2]], [-1, rest[2]]);
  }
  if (shape.length === 3) targets.push([-1, rest[0], 1, rest[1]], [-1, rest[1]]);
  if (shape.length === 2 && rest[0] % 2 === 0) targets.push([-1, 2, rest[0] / 2], [-1, 1, 2, rest[0] / 2]);
  const target = d.random.pick(targets);
  if (target.length < 2 || d.random.chance(0.6)) return d.add('Reshape', [from, d.ints(target)]);
  // The batch at run time, and the rest as a constant, or left open.
  const size = await sizeOfAxis(d, from, 0);
  const tail = target.slice(1);
  const parts = [size, ...tail.map((dim) => d.ints([dim], []))];
  const packed = await d.one('Pack', parts, { ...INT, N: attr.int(parts.length), axis: attr.int(0) });
  return d.add('Reshape', [from, packed]);
}

async function shapeArithmetic(d: Drawing): Promise<unknown> {
  const from = d.any(({ shapes }) => shapes[0].length >= 2);
  const rank = shapeOf(from).length;
  const shape = await shapeVector(d, from);
  const join = (parts: (Drawn | string)[]) =>
    d.one('ConcatV2', [...parts, d.ints([0], [])], { ...INT, N: attr.int(parts.length) });
  switch (d.random.int(0, 3)) {
    case 0: {
      const lead = await d.one('Slice', [shape, d.ints([0]), d.ints([1])], INT);
      const rest = await d.one('GatherV2', [shape, d.ints([1, ...(rank > 2 ? [2] : [])]), d.ints([0], [])], {
        Tparams: attr.dtype('int32'),
      });
      const product = await d.one('Prod', [rest, d.ints([0], [1])], { ...INT, keep_dims: attr.bool(true) });
      return d.add('Reshape', [from, await join([lead, product, d.ints([-1])])]);
    }
    case 1: {
      const parts = await d.add(
        'Split',
        [d.ints([0], []), shape],
        { ...INT, num_split: attr.int(rank) },
        rank,
      );
      return d.add('Reshape', [from, await join([parts[0], d.ints([-1])])]);
    }
    case 2: {
      const filled = await d.one('Fill', [shape, d.scalar(d.random.real(-1, 1))]);
      return d.add('AddV2', [from, filled]);
    }
    default: {
      const last = await d.one('StridedSlice', [shape, d.ints([-1]), d.ints([0]), d.ints([1])], {
        ...INT,
        ...masks({ end: 1 }),
      });
      const lead = await d.one('StridedSlice', [shape, d.ints([0]), d.ints([1]), d.ints([1])], {
        ...INT,
        ...masks({}),
      });
      return d.add('Reshape', [from, await join([lead, d.ints([-1]), last])]);
    }
  }
}

const masks = ({ begin = 0, end = 0, shrink = 0, ellipsis = 0, fresh = 0 }) => ({
  begin_mask: attr.int(begin),
  end_mask: attr.int(end),
  shrink_axis_mask: attr.int(shrink),
  ellipsis_mask: attr.int(ellipsis),
  new_axis_mask: attr.int(fresh),
});

function stridedSlice(d: Drawing): Promise<Drawn[]> {
  const { random } = d;
  const from = d.any(({ shapes }) => shapes[0].length >= 1);
  const shape = shapeOf(from);
  const count = random.int(1, shape.length);
  const [begins, ends, strides] = [[], [], []] as number[][];
  const bits = { begin: 0, end: 0, shrink: 0, ellipsis: 0, fresh: 0 };
  for (let i = 0; i < count; i++) {
    const bit = 1 << i;
    const size = shape[i];
    const begin = random.int(0, size - 1);
    const end = random.int(begin + 1, size + random.int(0, 1));
    begins.push(random.chance(0.2) ? begin - size : begin);
    ends.push(end < size && random.chance(0.2) ? end - size : end);
    strides.push(random.chance(0.15) ? 2 : 1);
    if (i === 0 ? random.chance(0.7) : random.chance(0.2)) {
      [begins[i], ends[i]] = [0, 0];
      bits.begin += bit;
      bits.end += bit;
    } else if (random.chance(0.1)) {
      [begins[i], ends[i], strides[i]] = [size - 1, -size - 1, -1];
    } else if (random.chance(0.15)) {
      bits.shrink += bit;
      strides[i] = 1;
    } else if (random.chance(0.2)) {
      bits.end += bit;
    }
  }
  if (random.chance(0.1)) {
    begins.unshift(0);
    ends.unshift(0);
    strides.unshift(1);
    for (const key of ['begin', 'end', 'shrink'] as const) bits[key] *= 2;
    if (random.chance(0.5)) bits.fresh = 1;
    else if (count < shape.length) bits.ellipsis = 1;
    else bits.fresh = 1;
  }
  return d.add('StridedSlice', [from, d.ints(begins), d.ints(ends), d.ints(strides)], {
    ...masks(bits),
    Index: attr.dtype('int32'),
  });
}

function concat(d: Drawing, op: string): Promise<Drawn[]> {
  const a = d.any(({ shapes }) => shapes[0].length >= 1);
  const rank = shapeOf(a).length;
  const axis = d.random.chance(0.1) ? 0 : rank === 1 ? 0 : d.random.int(1, rank - 1);
  const fits = (b: Drawn) =>
    b.dtype === 'float32' &&
    shapeOf(b).length === rank &&
    b.shapes.every((shape, s) => shape.every((size, i) => i === axis || size === a.shapes[s][i]));
  const others = Array.from({ length: d.random.int(1, 3) }, () => d.find(fits) ?? a);
  const parts: (Drawn | string)[] = [a, ...others];
  if (d.random.chance(0.1)) parts.push(d.weights(shapeOf(a), 1));
  const at = d.ints([written(d, axis, rank)], []);
  return d.add(op, op === 'Concat' ? [at, ...parts] : [...parts, at], { N: attr.int(parts.length) });
}

async function split(d: Drawing, op: string): Promise<unknown> {
  const from = d.any(({ shapes }) => shapes[0].length >= 2);
  const axis = innerAxis(d, from);
  const size = shapeOf(from)[axis];
  d.need(fixed(from, axis) && size >= 2 && size <= 12);
  const rank = shapeOf(from).length;
  if (op === 'Unpack') {
    return d.add(op, [from], { axis: attr.int(written(d, axis, rank)), num: attr.int(size) }, size);
  }
  const parts = d.random.pick([2, 3, size].filter((count) => size % count === 0));
  if (op === 'Split') {
    return d.add(op, [d.ints([written(d, axis, rank)], []), from], { num_split: attr.int(parts) }, parts);
  }
  const first = d.random.int(1, size - 1);
  const sizes = d.random.chance(0.3) ? [first, -1] : [first, size - first];
  return d.add(
    op,
    [from, d.ints(sizes), d.ints([written(d, axis, rank)], [])],
    { num_split: attr.int(2) },
    2,
  );
}

const ARRANGING: Table = {
  Reshape: reshape,
  Shape: shapeArithmetic,
  Squeeze: async (d) => {
    const thin = d.find(({ shapes, dtype }) => dtype === 'float32' && shapes[0].slice(1).includes(1));
    const from =
      thin ?? (await d.one('ExpandDims', [d.any(({ shapes }) => shapes[0].length >= 1), d.ints([1], [])]));
    const axes = shapeOf(from).flatMap((size, i) => (i > 0 && size === 1 ? [i] : []));
    return d.add('Squeeze', [from], { squeeze_dims: attr.ints(d.random.chance(0.2) ? [] : axes) });
  },
  ExpandDims: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length <= 4);
    const rank = shapeOf(from).length;
    return d.add('ExpandDims', [from, d.ints([d.random.pick([-1, d.random.int(0, rank)])], [])]);
  },
  ...each('ConcatV2 Concat', (op) => (d) => concat(d, op)),
  ...each('Split SplitV Unpack', (op) => (d) => split(d, op)),
  Pack: (d) => {
    const a = d.any(({ shapes }) => shapes[0].length <= 3 && shapes[0].length >= 1);
    const b = d.find((other) => other.dtype === 'float32' && same(a, other)) ?? a;
    const axis = d.random.int(1, shapeOf(a).length);
    return d.add('Pack', [a, b], { axis: attr.int(axis), N: attr.int(2) });
  },
  ...each('Pad PadV2 MirrorPad', (op) => (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2);
    const shape = shapeOf(from);
    const limit = op === 'MirrorPad' ? 1 : 2;
    const pads = shape.flatMap((size, i) =>
      i === 0 || size < 2 ? [0, 0] : [d.random.int(0, limit), d.random.int(0, limit)],
    );
    const paddings = d.ints(pads, [shape.length, 2]);
    if (op === 'MirrorPad')
      return d.add(op, [from, paddings], { mode: attr.string(d.random.pick(['REFLECT', 'SYMMETRIC'])) });
    const value = d.random.pick([0, 0, 1, -1e9]);
    if (op === 'Pad') return d.add(op, [from, paddings]);
    if (value > -1e9) return d.add(op, [from, paddings, d.scalar(value)]);
    return maxOfPadded(d);
  }),
  Transpose: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2);
    const rank = shapeOf(from).length;
    const inner = Array.from({ length: rank - 1 }, (_, i) => i + 1);
    for (let i = inner.length - 1; i > 0; i--) {
      const j = d.random.int(0, i);
      [inner[i], inner[j]] = [inner[j], inner[i]];
    }
    const order = d.random.chance(0.1) ? [...inner, 0] : [0, ...inner];
    return d.add('Transpose', [from, d.ints(order)], { Tperm: attr.dtype('int32') });
  },
  StridedSlice: stridedSlice,
  Slice: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const shape = shapeOf(from);
    const begin = shape.map((size, i) => (i === 0 && d.random.chance(0.8) ? 0 : d.random.int(0, size - 1)));
    const sizes = shape.map((size, i) =>
      i === 0 && begin[0] === 0 && d.random.chance(0.9)
        ? -1
        : d.random.chance(0.2)
          ? -1
          : d.random.int(1, size - begin[i]),
    );
    return d.add('Slice', [from, d.ints(begin), d.ints(sizes)], { Index: attr.dtype('int32') });
  },
  ...each('GatherV2 Gather', (op) => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const rank = shapeOf(from).length;
    const table = d.random.chance(0.3);
    if (table) {
      const places = await d.one('ArgMax', [from, d.ints([rank - 1], [])], {
        output_type: attr.dtype('int32'),
      });
      const rows = d.weights([Math.max(2, shapeOf(from).at(-1)!), d.random.int(1, 6)], 1);
      return d.add(op, op === 'Gather' ? [rows, places] : [rows, places, d.ints([0], [])], {
        Tparams: attr.dtype('float32'),
      });
    }
    const axis = op === 'Gather' || rank === 1 ? 0 : d.random.int(1, rank - 1);
    const size = Math.min(...from.shapes.map((shape) => shape[axis]));
    const count = d.random.int(1, 3);
    const indices = d.ints(
      Array.from({ length: count }, () => d.random.int(0, size - 1)),
      d.random.pick([[count], [1, count]]),
    );
    return d.add(
      op,
      op === 'Gather' ? [from, indices] : [from, indices, d.ints([written(d, axis, rank)], [])],
      {
        Tparams: attr.dtype('float32'),
        batch_dims: attr.int(0),
      },
    );
  }),
  GatherNd: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2);
    return d.add('GatherNd', [from, d.ints([0, 0, 0, 0], [2, 2])], { Tparams: attr.dtype('float32') });
  },
  ScatterNd: (d) => {
    const from = d.any((tensor) => shapeOf(tensor).length >= 1 && fixed(tensor, 0));
    const shape = shapeOf(from);
    const rows = d.ints(
      Array.from({ length: shape[0] }, (_, i) => i + 1),
      [shape[0], 1],
    );
    return d.add('ScatterNd', [rows, from, d.ints([shape[0] + 2, ...shape.slice(1)])]);
  },
  TensorScatterUpdate: (d) => {
    const from = d.any((tensor) => shapeOf(tensor).length >= 1 && fixed(tensor, 0));
    const row = d.weights([1, ...shapeOf(from).slice(1)], 1);
    return d.add('TensorScatterUpdate', [from, d.ints([0], [1, 1]), row]);
  },
  SparseToDense: async (d) => {
    const source = d.any((tensor) => shapeOf(tensor).every((_, axis) => fixed(tensor, axis)));
    const from = await d.one('Reshape', [source, d.ints([-1])]);
    const count = shapeOf(from)[0];
    const places = d.ints(
      Array.from({ length: count }, (_, i) => i),
      [count, 1],
    );
    return d.add('SparseToDense', [places, d.ints([count + 1]), from, d.scalar(0.5)]);
  },
  Tile: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const times = shapeOf(from).map((_, i) => (i === 0 ? 1 : d.random.int(1, 2)));
    return d.add('Tile', [from, d.ints(times)]);
  },
  BroadcastTo: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const row = await d.one('Mean', [from, d.ints([shapeOf(from).length - 1])], {
      keep_dims: attr.bool(true),
    });
    return d.add('BroadcastTo', [
      row,
      d.random.chance(0.5) ? await shapeVector(d, from) : d.ints(shapeOf(from)),
    ]);
  },
  OneHot: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1 && shapes[0].length <= 3);
    const places = await d.one('ArgMax', [from, d.ints([shapeOf(from).length - 1], [])], {
      output_type: attr.dtype('int32'),
    });
    const depth = d.random.int(2, 6);
    return d.add('OneHot', [places, d.ints([depth], []), d.scalar(1), d.scalar(0)], { axis: attr.int(-1) });
  },
  Range: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2);
    const last = await sizeOfAxis(d, from, shapeOf(from).length - 1);
    const steps = await d.one('Range', [d.ints([0], []), last, d.ints([1], [])], {
      Tidx: attr.dtype('int32'),
    });
    return d.add('AddV2', [from, await asFloat(d, steps)]);
  },
  LinSpace: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const count = shapeOf(from).at(-1)!;
    return d.add('Mul', [from, await d.one('LinSpace', [d.scalar(-1), d.scalar(1), d.ints([count], [])])]);
  },
  Fill: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    return d.add('Sub', [await d.one('Fill', [await shapeVector(d, from), d.scalar(0.5)]), from]);
  },
  ...each('RandomUniform RandomStandardNormal TruncatedNormal RandomUniformInt', (op) => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const shape = await shapeVector(d, from);
    const [noise, real, magnitude, nothing] = [d.name(), d.name(), d.name(), d.name()];
    const whole = op === 'RandomUniformInt';
    const drawn = {
      dtype: attr.dtype('float32'),
      seed: attr.int(7),
      ...(whole && { minval: attr.int(0), maxval: attr.int(3) }),
    };
    // Every run draws other values: nothing of them is left.
    const [zeros] = await d.group(
      [
        { name: noise, op, inputs: [shape.name], attrs: drawn },
        whole
          ? {
              name: real,
              op: 'Cast',
              inputs: [noise],
              attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
            }
          : { name: real, op: 'Identity', inputs: [noise], attrs: T },
        { name: magnitude, op: 'Abs', inputs: [real], attrs: T },
        { name: nothing, op: 'Minimum', inputs: [magnitude, d.scalar(0)], attrs: T },
      ],
      [nothing],
    );
    return d.add('AddV2', [from, zeros]);
  }),
  ReverseV2: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    return d.add('ReverseV2', [from, d.ints([shapeOf(from).length - 1])]);
  },
  Reverse: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2);
    const dims = shapeOf(from).map((_, i) => Number(i > 0 && d.random.chance(0.5)));
    return d.add('Reverse', [from, d.constant([dims.length], dims, 'bool')]);
  },
  ...each('Rank Size', (op) => async (d) => {
    const from = d.any();
    return d.add('Mul', [await asFloat(d, await d.one(op, [from], INT)), d.scalar(0.1)]);
  }),
  IdentityN: (d) => d.add('IdentityN', [d.any(), d.any()], {}, 2),
  ShapeN: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const [shape] = await d.add('ShapeN', [from, from], { N: attr.int(2) }, 2);
    return d.add('AddV2', [from, await d.one('Fill', [shape, d.scalar(1)])]);
  },
  Where: async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1 && shapes[0].length <= 2);
    return asFloat(d, await d.one('Where', [await d.one('GreaterEqual', [from, d.scalar(-100)])], BOOL));
  },
};

/** Maxima of windows over an image with the lowest value around it. */
async function maxOfPadded(d: Drawing): Promise<Drawn[]> {
  const from = d.ofRank(4);
  const paddings = d.ints([0, 0, 1, 1, 1, 1, 0, 0], [4, 2]);
  const [padded, maxima] = [d.name(), d.name()];
  const lowest = d.scalar(d.random.pick([-1e9, -65504, -3.4e38]));
  const attrs = {
    ...T,
    ksize: attr.ints([1, 3, 3, 1]),
    strides: attr.ints([1, 1, 1, 1]),
    padding: attr.string('VALID'),
    data_format: attr.string('NHWC'),
  };
  return d.group(
    [
      { name: padded, op: 'PadV2', inputs: [from.name, paddings, lowest], attrs: T },
      { name: maxima, op: 'MaxPool', inputs: [padded], attrs },
    ],
    [maxima],
  );
}

// Sparse tensors, strings, boxes

const SPARSE: Table = {
  SparseReshape: (d) => {
    const [sparse, real] = [d.name(), d.name()];
    const indices = d.ints([0, 0, 0, 1, 1, 0], [3, 2]);
    return d.group(
      [
        { name: sparse, op: 'SparseReshape', inputs: [indices, d.ints([2, 3]), d.ints([3, -1])] },
        {
          name: real,
          op: 'Cast',
          inputs: [sparse],
          attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
        },
      ],
      [real],
    );
  },
  SparseFillEmptyRows: (d) => {
    const name = d.name();
    const inputs = [d.ints([0, 0, 2, 1], [2, 2]), d.constant([2], [0.5, -0.5]), d.ints([4, 3]), d.scalar(1)];
    return d.group([{ name, op: 'SparseFillEmptyRows', inputs, attrs: T }], [`${name}:1`]);
  },
  ...each('SparseSegmentMean SparseSegmentSum', (op) => (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2 && shapes.every((shape) => shape[0] >= 1));
    return d.add(op, [from, d.ints([0, 0, 0]), d.ints([0, 0, 1])]);
  }),
  ...each('StaticRegexReplace StringToHashBucketFast', () => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const [replaced, bucket, real] = [d.name(), d.name(), d.name()];
    const [hashed] = await d.group(
      [
        {
          name: replaced,
          op: 'StaticRegexReplace',
          inputs: [d.strings(['some text'])],
          attrs: { pattern: attr.string('s'), rewrite: attr.string('z'), replace_global: attr.bool(true) },
        },
        {
          name: bucket,
          op: 'StringToHashBucketFast',
          inputs: [replaced],
          attrs: { num_buckets: attr.int(3) },
        },
        {
          name: real,
          op: 'Cast',
          inputs: [bucket],
          attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
        },
      ],
      [real],
    );
    return d.add('AddV2', [from, hashed]);
  }),
  ...each(
    'NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5',
    (op) => async (d) => {
      const version = Number(op.at(-1));
      const from = d.any(
        (tensor) => shapeOf(tensor).length >= 1 && tensor.shapes.every((s) => elements(s) >= 4),
      );
      const flat = await d.one('Reshape', [from, d.ints([-1])]);
      const scores = await d.one('Sigmoid', [await d.one('Slice', [flat, d.ints([0]), d.ints([4])])]);
      const boxes = d.constant([4, 4], [0, 0, 1, 1, 0, 0, 0.9, 1, 0.5, 0.5, 1, 1, 0, 0.6, 0.4, 1]);
      const given = [boxes, scores, d.ints([3], []), d.scalar(0.5)];
      const more = version === 2 ? [] : version === 5 ? [d.scalar(0.1), d.scalar(0)] : [d.scalar(0.1)];
      const attrs: Record<string, RawAttr> = version === 4 ? { pad_to_max_output_size: attr.bool(true) } : {};
      const [kept] = await d.add(op, [...given, ...more], attrs, version === 2 || version === 3 ? 1 : 2);
      return d.add('GatherV2', [boxes, kept, d.ints([0], [])], { Tparams: attr.dtype('float32') });
    },
  ),
};

// Control flow

/** A loop that multiplies a matrix by weights a few times. */
function loop(d: Drawing): Promise<Drawn[]> {
  const from = d.ofRank(2);
  const depth = shapeOf(from)[1];
  const filter = d.weights([depth, depth], fanIn(depth));
  const frame = attr.string(d.name());
  const enter = (constant: boolean) => ({
    frame_name: frame,
    is_constant: attr.bool(constant),
    parallel_iterations: attr.int(1),
  });
  const n = (suffix: string) => `${base}_${suffix}`;
  const base = d.name();
  const [zero, one, turns] = [d.ints([0], []), d.ints([1], []), d.ints([d.random.int(1, 3)], [])];
  const end = d.name();
  return d.group(
    [
      { name: n('enter_i'), op: 'Enter', inputs: [zero], attrs: { ...INT, ...enter(false) } },
      { name: n('enter_x'), op: 'Enter', inputs: [from.name], attrs: { ...T, ...enter(false) } },
      { name: n('enter_w'), op: 'Enter', inputs: [filter], attrs: { ...T, ...enter(true) } },
      { name: n('enter_n'), op: 'Enter', inputs: [turns], attrs: { ...INT, ...enter(true) } },
      { name: n('enter_1'), op: 'Enter', inputs: [one], attrs: { ...INT, ...enter(true) } },
      {
        name: n('merge_i'),
        op: 'Merge',
        inputs: [n('enter_i'), n('next_i')],
        attrs: { ...INT, N: attr.int(2) },
      },
      {
        name: n('merge_x'),
        op: 'Merge',
        inputs: [n('enter_x'), n('next_x')],
        attrs: { ...T, N: attr.int(2) },
      },
      { name: n('less'), op: 'Less', inputs: [n('merge_i'), n('enter_n')], attrs: INT },
      { name: n('cond'), op: 'LoopCond', inputs: [n('less')] },
      { name: n('switch_i'), op: 'Switch', inputs: [n('merge_i'), n('cond')], attrs: INT },
      { name: n('switch_x'), op: 'Switch', inputs: [n('merge_x'), n('cond')], attrs: T },
      { name: n('add'), op: 'AddV2', inputs: [`${n('switch_i')}:1`, n('enter_1')], attrs: INT },
      {
        name: n('product'),
        op: 'MatMul',
        inputs: [`${n('switch_x')}:1`, n('enter_w')],
        attrs: { ...T, transpose_a: attr.bool(false), transpose_b: attr.bool(false) },
      },
      { name: n('tanh'), op: 'Tanh', inputs: [n('product')], attrs: T },
      { name: n('next_i'), op: 'NextIteration', inputs: [n('add')], attrs: INT },
      { name: n('next_x'), op: 'NextIteration', inputs: [n('tanh')], attrs: T },
      { name: end, op: 'Exit', inputs: [n('switch_x')], attrs: T },
    ],
    [end],
  );
}

/** One of two branches. */
async function branch(d: Drawing): Promise<Drawn[]> {
  const from = d.any();
  const predicate = d.constant([], [d.random.int(0, 1)], 'bool');
  const [chosen, left, right, end] = [d.name(), d.name(), d.name(), d.name()];
  return d.group(
    [
      { name: chosen, op: 'Switch', inputs: [from.name, predicate], attrs: T },
      { name: left, op: 'Relu', inputs: [chosen], attrs: T },
      { name: right, op: 'Tanh', inputs: [`${chosen}:1`], attrs: T },
      { name: end, op: 'Merge', inputs: [left, right], attrs: { ...T, N: attr.int(2) } },
    ],
    [end],
  );
}

/** A list of the rows of a tensor, read, written and stacked. */
function tensorList(d: Drawing): Promise<Drawn[]> {
  const from = d.any((tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, 0));
  const [count, ...element] = shapeOf(from);
  const shape = d.ints(element);
  const n = Array.from({ length: 8 }, () => d.name());
  const types = { element_dtype: attr.dtype('float32') };
  return d.group(
    [
      { name: n[0], op: 'TensorListFromTensor', inputs: [from.name, shape], attrs: types },
      { name: n[1], op: 'TensorListGetItem', inputs: [n[0], d.ints([0], []), shape], attrs: types },
      { name: n[2], op: 'TensorListReserve', inputs: [shape, d.ints([2], [])], attrs: types },
      { name: n[3], op: 'TensorListSetItem', inputs: [n[2], d.ints([0], []), n[1]], attrs: types },
      { name: n[4], op: 'TensorListSetItem', inputs: [n[3], d.ints([1], []), n[1]], attrs: types },
      {
        name: n[5],
        op: 'TensorListStack',
        inputs: [n[4], shape],
        attrs: { ...types, num_elements: attr.int(2) },
      },
      { name: n[6], op: 'TensorListGather', inputs: [n[0], d.ints([0, count - 1]), shape], attrs: types },
      { name: n[7], op: 'AddV2', inputs: [n[5], n[6]], attrs: T },
    ],
    [n[7]],
  );
}

/** A list that grows, and says how long it is. */
function growingList(d: Drawing): Promise<Drawn[]> {
  const from = d.any(
    (tensor) => shapeOf(tensor).length >= 1 && shapeOf(tensor).every((_, i) => fixed(tensor, i)),
  );
  const shape = d.ints(shapeOf(from));
  const n = Array.from({ length: 6 }, () => d.name());
  const types = { element_dtype: attr.dtype('float32') };
  return d.group(
    [
      { name: n[0], op: 'EmptyTensorList', inputs: [shape, d.ints([2], [])], attrs: types },
      { name: n[1], op: 'TensorListPushBack', inputs: [n[0], from.name], attrs: types },
      { name: n[2], op: 'TensorListLength', inputs: [n[1]] },
      {
        name: n[3],
        op: 'TensorListStack',
        inputs: [n[1], shape],
        attrs: { ...types, num_elements: attr.int(-1) },
      },
      {
        name: n[4],
        op: 'Cast',
        inputs: [n[2]],
        attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
      },
      { name: n[5], op: 'Mul', inputs: [n[3], n[4]], attrs: T },
    ],
    [n[5]],
  );
}

/** The older form of the same. */
function tensorArray(d: Drawing): Promise<Drawn[]> {
  const from = d.any((tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, 0));
  const [count, ...element] = shapeOf(from);
  const shape = { element_shape: { shape: { dim: element.map((size) => ({ size: String(size) })) } } };
  const n = Array.from({ length: 8 }, () => d.name());
  return d.group(
    [
      {
        name: n[0],
        op: 'TensorArrayV3',
        inputs: [d.ints([count + 1], [])],
        attrs: {
          ...DT,
          ...shape,
          dynamic_size: attr.bool(false),
          clear_after_read: attr.bool(false),
          identical_element_shapes: attr.bool(true),
          tensor_array_name: attr.string(''),
        },
      },
      {
        name: n[1],
        op: 'TensorArrayScatterV3',
        inputs: [n[0], d.ints(Array.from({ length: count }, (_, i) => i)), from.name, `${n[0]}:1`],
        attrs: T,
      },
      { name: n[2], op: 'TensorArrayReadV3', inputs: [n[0], d.ints([0], []), n[1]], attrs: DT },
      { name: n[3], op: 'TensorArrayWriteV3', inputs: [n[0], d.ints([count], []), n[2], n[1]], attrs: T },
      {
        name: n[4],
        op: 'TensorArrayGatherV3',
        inputs: [n[0], d.ints([0, count]), n[3]],
        attrs: { ...DT, ...shape },
      },
      { name: n[5], op: 'TensorArraySizeV3', inputs: [n[0], n[3]] },
      {
        name: n[6],
        op: 'Cast',
        inputs: [n[5]],
        attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
      },
      { name: n[7], op: 'AddV2', inputs: [n[4], n[6]], attrs: T },
    ],
    [n[7]],
  );
}

const FLOW: Table = {
  ...each('Enter Exit NextIteration LoopCond', () => loop),
  ...each('Switch Merge', () => branch),
  ...each(
    'TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack TensorListGather',
    () => tensorList,
  ),
  ...each('EmptyTensorList TensorListPushBack TensorListLength', () => growingList),
  ...each(
    'TensorArrayV3 TensorArrayScatterV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArrayGatherV3 TensorArraySizeV3',
    () => tensorArray,
  ),
};

// What is more than one op

const PATTERNS: Table = {
  linear: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 3);
    const depth = shapeOf(from).at(-1)!;
    return d.add('BatchMatMulV2', [from, d.weights([depth, d.random.int(1, 8)], fanIn(depth))], {
      adj_x: attr.bool(false),
      adj_y: attr.bool(false),
    });
  },
  hardSwish: async (d) => {
    const x = d.any();
    const clipped = await d.one('Relu6', [await d.one('AddV2', [x, d.scalar(3)])]);
    return d.random.chance(0.5)
      ? d.add('Mul', [await d.one('Mul', [x, clipped]), d.scalar(1 / 6)])
      : d.add('Mul', [x, await d.one('RealDiv', [clipped, d.scalar(6)])]);
  },
  swish: async (d) => {
    const x = d.any();
    return d.add('Mul', [x, await d.one('Sigmoid', [x])]);
  },
  mish: async (d) => {
    const x = d.any();
    return d.add('Mul', [x, await d.one('Tanh', [await d.one('Softplus', [x])])]);
  },
  gelu: async (d) => {
    const x = d.any();
    const inner = await d.one('Erf', [await d.one('Mul', [x, d.scalar(Math.SQRT1_2)])]);
    return d.add('Mul', [await d.one('Mul', [x, d.scalar(0.5)]), await d.one('AddV2', [inner, d.scalar(1)])]);
  },
  attention: async (d) => {
    const x = d.ofRank(3);
    const depth = shapeOf(x)[2];
    const project = () =>
      d.one('BatchMatMulV2', [x, d.weights([depth, 4], fanIn(depth))], {
        adj_x: attr.bool(false),
        adj_y: attr.bool(false),
      });
    const [q, k, v] = [await project(), await project(), await project()];
    let scores = await d.one('BatchMatMulV2', [q, k], { adj_x: attr.bool(false), adj_y: attr.bool(true) });
    scores = await d.one('Mul', [scores, d.scalar(0.5)]);
    const size = shapeOf(x)[1];
    const rows = Array.from({ length: size * size }, (_, i) => (i % size > Math.floor(i / size) ? -1e9 : 0));
    const name = d.name();
    const softened = d.name();
    const specs = d.random.chance(0.5)
      ? [
          { name, op: 'AddV2', inputs: [scores.name, d.constant([1, size, size], rows)], attrs: T },
          { name: softened, op: 'Softmax', inputs: [name], attrs: T },
        ]
      : [{ name: softened, op: 'Softmax', inputs: [scores.name], attrs: T }];
    const [weights] = await d.group(specs, [softened]);
    return d.add('BatchMatMulV2', [weights, v], { adj_x: attr.bool(false), adj_y: attr.bool(false) });
  },
  layerNormalization: async (d) => {
    const x = d.any(({ shapes }) => shapes[0].length >= 2);
    const axis = () => d.ints([shapeOf(x).length - 1]);
    const keep = { keep_dims: attr.bool(true) };
    const mean = await d.one('Mean', [x, axis()], keep);
    const variance = await d.one('Mean', [await d.one('SquaredDifference', [x, mean]), axis()], keep);
    const inverse = await d.one('Rsqrt', [await d.one('AddV2', [variance, d.scalar(0.01)])]);
    const channels = shapeOf(x).at(-1)!;
    const scale = await d.one('Mul', [inverse, d.weights([channels], 0.5, 1.5)]);
    return d.add('AddV2', [
      await d.one('Mul', [x, scale]),
      await d.one('Sub', [d.weights([channels], 0.5), await d.one('Mul', [mean, scale])]),
    ]);
  },
  squeezeExcite: async (d) => {
    const x = d.ofRank(4);
    const channels = shapeOf(x)[3];
    const pooled = await d.one('Mean', [x, d.ints([1, 2])], { keep_dims: attr.bool(true) });
    const attrs = {
      strides: attr.ints([1, 1, 1, 1]),
      dilations: attr.ints([1, 1, 1, 1]),
      padding: attr.string('SAME'),
      data_format: attr.string('NHWC'),
    };
    const gate = await d.one(
      'Conv2D',
      [pooled, d.weights([1, 1, channels, channels], fanIn(channels))],
      attrs,
    );
    return d.add('Mul', [x, await d.one('Sigmoid', [gate])]);
  },
  splitOfSplit: async (d) => {
    const from = d.any(
      (tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, -1) && shapeOf(tensor).at(-1)! % 4 === 0,
    );
    const axis = d.ints([shapeOf(from).length - 1], []);
    const halves = await d.add('Split', [axis, from], { num_split: attr.int(2) }, 2);
    return d.add('Split', [axis, d.random.pick(halves)], { num_split: attr.int(2) }, 2);
  },
};

/** By op; and patterns of several, by name. */
export const TEMPLATES: Table = {
  ...UNARY,
  ...BINARY,
  ...WINDOWS,
  ...PRODUCTS,
  ...REDUCTIONS,
  ...ARRANGING,
  ...SPARSE,
  ...FLOW,
  ...PATTERNS,
};

/** What real networks are made of. */
export const COMMON: readonly string[] = [
  ...'Conv2D Conv2D Conv2D _FusedConv2D _FusedConv2D DepthwiseConv2dNative FusedDepthwiseConv2dNative'.split(
    ' ',
  ),
  ...'MatMul MatMul MatMul _FusedMatMul BatchMatMulV2 BatchMatMulV2 Conv2DBackpropInput'.split(' '),
  ...'MaxPool AvgPool Mean FusedBatchNormV3 AddV2 AddV2 Mul Sub Maximum Relu Relu6 LeakyRelu Prelu Sigmoid Tanh'.split(
    ' ',
  ),
  ...'Elu Softmax Reshape Reshape ConcatV2 ConcatV2 Split SplitV Unpack Pad Transpose StridedSlice Slice'.split(
    ' ',
  ),
  ...'ResizeBilinear ResizeNearestNeighbor Squeeze ExpandDims Shape'.split(' '),
  ...Object.keys(PATTERNS),
];
