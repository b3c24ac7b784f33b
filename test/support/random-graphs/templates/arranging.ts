/** Ops that reshape, cut, join, repeat and look up, and arithmetic with shapes. */
import { attr } from '../../../../src/graph/attrs';
import { type Drawing, type Drawn, elements, T } from '../drawing';
import {
  asFloat,
  BOOL,
  each,
  fixed,
  INT,
  innerAxis,
  masks,
  same,
  shapeOf,
  shapeVector,
  sizeOfAxis,
  type Table,
  written,
} from './template';

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

export const ARRANGING: Table = {
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
