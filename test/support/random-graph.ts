/** Random float graphs over the ops that the passes know, and some that stay float. */
import { attr } from '../../src/graph/attrs';
import type { Graph, RawAttr } from '../../src/graph/ir';
import { FloatGraph, fusedAttrs, windowAttrs } from './float-graph';
import type { Random } from './random';

type Shape = readonly number[];

const T: Record<string, RawAttr> = { T: attr.dtype('float32') };

const UNARY = [
  'Relu',
  'Relu6',
  'Sigmoid',
  'Tanh',
  'Elu',
  'Selu',
  'Softplus',
  'LeakyRelu',
  'Abs',
  'Neg',
  'Square',
  'Erf',
  // Without a form in the program.
  'Round',
  'Floor',
  'Sin',
  'Cos',
  'Sign',
  'Atan',
  'Identity',
  'Exp',
];

const BINARY = ['AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum', 'SquaredDifference'];

const size = (shape: Shape) => shape.reduce((product, d) => product * d, 1);

/** Draws nodes one after the other; each reads what was drawn before. */
class Drawing {
  private readonly graph: FloatGraph;
  private readonly tensors: { name: string; shape: Shape }[] = [];
  private count = 0;

  constructor(private readonly random: Random) {
    this.graph = new FloatGraph(random);
    for (let i = random.int(1, 2); i > 0; i--) {
      const shape = random.pick([
        [2, 6, 6, 4],
        [2, 5, 7, 3],
        [2, 6, 8],
        [2, 8],
      ]);
      const name = `x${i}`;
      this.graph.input(name, random.int(0, 1) ? shape : shape.with(0, -1));
      this.tensors.push({ name, shape });
    }
  }

  private name(): string {
    return `n${this.count++}`;
  }

  private any(rank?: number): { name: string; shape: Shape } | undefined {
    const suitable = this.tensors.filter(({ shape }) => rank === undefined || shape.length === rank);
    return suitable.length > 0 ? this.random.pick(suitable.slice(-6)) : undefined;
  }

  private add(
    op: string,
    inputs: readonly string[],
    shape: Shape,
    attrs: Record<string, RawAttr> = {},
  ): void {
    const name = this.name();
    this.graph.node(name, op, inputs, { ...T, ...attrs });
    this.tensors.push({ name, shape });
  }

  private integers(values: readonly number[], shape: Shape = [values.length]): string {
    const name = this.name();
    this.graph.constant(name, shape, values, 'int32');
    return name;
  }

  private weights(shape: Shape, bound = 0.5): string {
    const name = this.name();
    this.graph.weights(name, shape, -bound, bound);
    return name;
  }

  private convolution(): void {
    const from = this.any(4);
    if (!from) return;
    const { random } = this;
    const [n, h, w, c] = from.shape;
    const depthwise = random.int(0, 2) === 0;
    const k = random.int(1, Math.min(3, h, w));
    const strides = random.int(1, 2);
    const same = random.int(0, 1) === 0;
    const out = depthwise ? c : random.int(1, 6);
    const filter = this.weights([k, k, c, depthwise ? 1 : out], 2 / (k * Math.sqrt(c)));
    const sizes = [h, w].map((d) => (same ? Math.ceil(d / strides) : Math.floor((d - k) / strides) + 1));
    const attrs = windowAttrs({ strides, padding: same ? 'SAME' : 'VALID' });
    const op = depthwise ? 'DepthwiseConv2dNative' : 'Conv2D';
    if (random.int(0, 1)) {
      const fused = random.pick([['BiasAdd'], ['BiasAdd', 'Relu'], ['BiasAdd', 'Relu6'], ['BiasAdd', 'Elu']]);
      const bias = this.weights([out]);
      const name = depthwise ? 'FusedDepthwiseConv2dNative' : '_FusedConv2D';
      this.add(name, [from.name, filter, bias], [n, ...sizes, out], { ...attrs, ...fusedAttrs(fused) });
    } else {
      this.add(op, [from.name, filter], [n, ...sizes, out], attrs);
    }
  }

  private dense(): void {
    const from = this.any(2) ?? this.any(3);
    if (!from) return;
    const { shape } = from;
    const [depth, out] = [shape.at(-1)!, this.random.int(1, 8)];
    const transposed = this.random.int(0, 1) === 1;
    const filter = this.weights(transposed ? [out, depth] : [depth, out], 1 / Math.sqrt(depth));
    if (shape.length === 2) {
      this.add('MatMul', [from.name, filter], [...shape.slice(0, -1), out], {
        transpose_b: attr.bool(transposed),
      });
    } else {
      this.add('BatchMatMulV2', [from.name, filter], [...shape.slice(0, -1), out], {
        adj_y: attr.bool(transposed),
      });
    }
  }

  private product(): void {
    const a = this.any(3) ?? this.any(2);
    if (!a) return;
    const { shape } = a;
    const result = [...shape.slice(0, -1), shape.at(-2)!];
    if (shape.length === 3) this.add('BatchMatMulV2', [a.name, a.name], result, { adj_y: attr.bool(true) });
    else this.add('MatMul', [a.name, a.name], result, { transpose_b: attr.bool(true) });
  }

  private unary(): void {
    const from = this.any()!;
    this.add(this.random.pick(UNARY), [from.name], from.shape);
  }

  private binary(): void {
    const a = this.any()!;
    const op = this.random.pick(BINARY);
    const others = this.tensors.filter(({ shape }) => shape.join() === a.shape.join());
    const kind = this.random.int(0, 2);
    const b =
      kind === 0
        ? this.weights([])
        : kind === 1
          ? this.weights([...new Array(a.shape.length - 1).fill(1), a.shape.at(-1)!])
          : this.random.pick(others).name;
    this.add(op, this.random.int(0, 1) ? [a.name, b] : [b, a.name], a.shape);
  }

  private pool(): void {
    const from = this.any(4);
    if (!from || from.shape[1] < 2 || from.shape[2] < 2) return;
    const [n, h, w, c] = from.shape;
    const attrs = windowAttrs({ ksize: 2, strides: 2 });
    this.add(
      this.random.pick(['MaxPool', 'AvgPool']),
      [from.name],
      [n, Math.ceil(h / 2), Math.ceil(w / 2), c],
      attrs,
    );
  }

  private mean(): void {
    const from = this.any(4);
    if (!from) return;
    const keep = this.random.int(0, 1) === 1;
    const [n, , , c] = from.shape;
    this.add('Mean', [from.name, this.integers([1, 2])], keep ? [n, 1, 1, c] : [n, c], {
      keep_dims: { b: keep },
    });
  }

  private reshape(): void {
    const from = this.any()!;
    const [batch, ...rest] = from.shape;
    const inner = size(rest);
    const targets: Shape[] = [
      [batch, inner],
      from.shape.length === 4 ? [batch, rest[0] * rest[1], rest[2]] : from.shape,
    ];
    const target = this.random.pick(targets);
    this.add('Reshape', [from.name, this.integers([-1, ...target.slice(1)])], target);
  }

  private concat(): void {
    const a = this.any()!;
    const axis = this.random.int(1, a.shape.length - 1);
    const fits = this.tensors.filter(
      ({ shape }) => shape.length === a.shape.length && shape.every((d, i) => i === axis || d === a.shape[i]),
    );
    const b = this.random.pick(fits);
    const written = this.random.int(0, 1) ? axis : axis - a.shape.length;
    const shape = a.shape.with(axis, a.shape[axis] + b.shape[axis]);
    this.add('ConcatV2', [a.name, b.name, this.integers([written], [])], shape, { N: attr.int(2) });
  }

  private split(): void {
    const from = this.any()!;
    const axis = this.random.int(1, from.shape.length - 1);
    const d = from.shape[axis];
    if (d < 2) return;
    const parts = this.random.int(0, 1);
    const name = this.name();
    if (parts === 0 && d % 2 === 0) {
      this.graph.node(name, 'Split', [this.integers([axis], []), from.name], {
        ...T,
        num_split: attr.int(2),
      });
      for (const i of [0, 1])
        this.tensors.push({ name: `${name}:${i}`, shape: from.shape.with(axis, d / 2) });
    } else if (d <= 8 && from.shape.length > 2) {
      this.graph.node(name, 'Unpack', [from.name], { ...T, axis: attr.int(axis), num: attr.int(d) });
      for (const i of [0, d - 1])
        this.tensors.push({ name: `${name}:${i}`, shape: from.shape.toSpliced(axis, 1) });
    }
  }

  private move(): void {
    const from = this.any()!;
    const { shape } = from;
    const { random } = this;
    switch (random.int(0, 4)) {
      case 0: {
        const order = shape.length === 4 ? [0, 2, 1, 3] : shape.length === 3 ? [0, 2, 1] : [0, 1];
        this.add(
          'Transpose',
          [from.name, this.integers(order)],
          order.map((axis) => shape[axis]),
        );
        return;
      }
      case 1: {
        const pads = shape.map((_, i) => (i === 0 ? [0, 0] : [random.int(0, 1), random.int(0, 1)]));
        const padded = shape.map((d, i) => d + pads[i][0] + pads[i][1]);
        this.add('Pad', [from.name, this.integers(pads.flat(), [shape.length, 2])], padded);
        return;
      }
      case 2: {
        const begin = shape.map((d, i) => (i === 0 ? 0 : random.int(0, d - 1)));
        const taken = shape.map((d, i) => (i === 0 ? -1 : random.int(1, d - begin[i])));
        this.add(
          'Slice',
          [from.name, this.integers(begin), this.integers(taken)],
          taken.map((d, i) => (d < 0 ? shape[i] : d)),
        );
        return;
      }
      case 3: {
        const height = 2 * shape[1];
        const attrs = { half_pixel_centers: attr.bool(true), align_corners: attr.bool(false) };
        if (shape.length !== 4 || height > 16) return;
        const [n, , w, c] = shape;
        const op = random.pick(['ResizeBilinear', 'ResizeNearestNeighbor']);
        this.add(op, [from.name, this.integers([height, w])], [n, height, w, c], attrs);
        return;
      }
      default:
        this.add('Softmax', [from.name], shape);
    }
  }

  draw(nodes: number): Graph {
    const draws = [
      () => this.convolution(),
      () => this.convolution(),
      () => this.dense(),
      () => this.dense(),
      () => this.product(),
      () => this.unary(),
      () => this.unary(),
      () => this.binary(),
      () => this.binary(),
      () => this.pool(),
      () => this.mean(),
      () => this.reshape(),
      () => this.concat(),
      () => this.split(),
      () => this.move(),
    ];
    for (let i = 0; i < nodes; i++) this.random.pick(draws)();
    // Inputs and parts of splits are no outputs of a model.
    const results = this.tensors.filter(({ name }) => /^n\d+$/.test(name));
    const outputs = new Set([
      results.at(-1)?.name,
      results.length > 2 ? this.random.pick(results).name : undefined,
    ]);
    return this.graph.build(...[...outputs].filter((name) => name !== undefined));
  }
}

export function drawGraph(random: Random): Graph {
  return new Drawing(random).draw(random.int(4, 16));
}
