/** Functions of one tensor, element by element or along an axis. */
import { attr } from '../../../../src/graph/attrs';
import { type Drawing, type Drawn, T } from '../drawing';
import { asFloat, BOOL, condition, each, fixed, innerAxis, shapeOf, type Table } from './template';

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

export const UNARY: Table = {
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
