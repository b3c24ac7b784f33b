// @needs engine
/** Programs, weights and shapes that nobody should trust: each is refused with a message, or computes what it says. */
import { LowbitError, type LowbitErrorCode } from '../../src/base/errors';
import {
  encodeProgram,
  Granularity,
  type Int8FilterRef,
  type Op,
  OpKind,
  PaddingMode,
  type PadMode,
  PROGRAM_FORMAT_VERSION,
  type Program,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from '../../src/program/program';
import type { Engine } from '../../src/runtime/engine';
import { CaseBuilder, int8, type KernelCase, type OpDraft } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { DYNAMIC_SERIES } from '../support/dynamic-series';
import { oldFormat } from '../support/old-format';
import { forEachCase, type Random } from '../support/random';
import { everyIsa } from '../support/run-engine';
import { ALL_SERIES } from '../support/series';
import { sizeOf } from './reference/tensor';

const engines = everyIsa();
const engine = engines.at(-1)!;

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;
type WithoutInputs<T> = T extends unknown ? Omit<T, 'inputs'> : never;
/** An op of one input that a test puts in place. */
type Move = WithoutInputs<OpDraft>;

const FILTER: Int8FilterRef = { filterOffset: 0, biasOffset: 72, scaleOffset: 80, format: WeightFormat.Int8 };

const CONV: OpOf<OpKind.Conv2D> = {
  kind: OpKind.Conv2D,
  name: 'block/conv',
  inputs: [1],
  output: 2,
  filter: FILTER,
  inChannels: 4,
  outChannels: 2,
  groups: 1,
  window: { kernel: [3, 3], strides: [1, 1], padding: { mode: PaddingMode.Same } },
  activation: {},
};

const NORMALIZATION = {
  kind: OpKind.LayerNormalization as const,
  channels: 4,
  gammaOffset: 0,
  betaOffset: 0,
  epsilon: 1e-3,
};

const ROTATION = { depth: 4, block: 64, seed: 1 };

/** Where the first op begins in the words of the program below: header, ids, four tensors of rank 4. */
const FIRST_OP = 8 + 2 + 4 * 9;

interface Parts {
  program: Program;
  conv: OpOf<OpKind.Conv2D>;
  filter: Int8Array;
  bias: Int32Array;
  scales: Float32Array;
}

/** A right program, input (int32) -> cast -> conv -> cast -> output, for tests to break. */
function makeParts(): Parts {
  const conv = structuredClone(CONV);
  const code = { scale: 0.5, zeroPoint: 3 };
  return {
    conv,
    filter: new Int8Array(72).fill(127),
    bias: Int32Array.of(5, -5),
    scales: Float32Array.of(0.25, 0.125),
    program: {
      tensors: [
        { type: TensorType.Int32, shape: [-1, 5, 5, 4], ...code },
        { type: TensorType.Int8, shape: [-1, 5, 5, 4], ...code },
        { type: TensorType.Int8, shape: [-1, 5, 5, 2], ...code },
        { type: TensorType.Int32, shape: [-1, 5, 5, 2], ...code },
      ],
      ops: [
        { kind: OpKind.Cast, name: 'in', inputs: [0], output: 1 },
        conv,
        { kind: OpKind.Cast, name: 'out', inputs: [2], output: 3 },
      ],
      inputs: [0],
      outputs: [3],
    },
  };
}

function weightsOf({ filter, bias, scales }: Parts): Int32Array {
  const weights = new WeightsBuilder();
  weights.append(filter);
  weights.append(bias);
  weights.append(scales);
  return weights.build();
}

function compileParts(change: (parts: Parts) => void = () => {}) {
  const parts = makeParts();
  change(parts);
  return engine.compile(encodeProgram(parts.program), weightsOf(parts));
}

function expectRefusal(call: () => unknown, code: LowbitErrorCode, message: RegExp): void {
  let error: unknown;
  try {
    call();
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(LowbitError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
}

test('the program that the others are made from is right', () => {
  compileParts().dispose();
});

test.each([1, 2, 3, 4])('a program of format version %i, which knew fewer ops, is read', (version) => {
  engine.compile(oldFormat(encodeProgram(makeParts().program), version), weightsOf(makeParts())).dispose();
});

describe('compile refuses', () => {
  test.each<[string, (words: Int32Array) => Int32Array, LowbitErrorCode, RegExp]>([
    ['no words', () => new Int32Array(0), 'invalid-program', /not a quantized program/],
    ['another magic number', (w) => w.with(0, 1), 'invalid-program', /not a quantized program/],
    [
      'a newer format',
      (w) => w.with(1, PROGRAM_FORMAT_VERSION + 1),
      'unsupported-version',
      /format version \d+, but this engine reads up to version \d+; install a newer tfjs-lowbit/,
    ],
    ['format version 0', (w) => w.with(1, 0), 'invalid-program', /version 0/],
    ['another length than the header tells', (w) => w.with(2, 7), 'invalid-program', /words/],
    ['a negative number of tensors', (w) => w.with(3, -1), 'invalid-program', /-1 tensors/],
    ['2^31 - 1 tensors', (w) => w.with(3, 2 ** 31 - 1), 'invalid-program', /2147483647 tensors/],
    ['more ops than there are', (w) => w.with(4, 4), 'invalid-program', /cut short/],
    ['fewer ops than there are', (w) => w.with(4, 2), 'invalid-program', /words after its last op/],
    ['no inputs', (w) => w.with(5, 0), 'invalid-program', /0 inputs/],
    ['no outputs', (w) => w.with(6, 0), 'invalid-program', /0 outputs/],
    ['an unknown kind of op', (w) => w.with(FIRST_OP, 99), 'invalid-program', /kind 99/],
    ['an input id that is negative', (w) => w.with(8, -1), 'invalid-program', /-1/],
    ['an output id past the tensors', (w) => w.with(9, 4), 'invalid-program', /4/],
  ])('%s', (_, change, code, message) => {
    const words = change(encodeProgram(makeParts().program));
    expectRefusal(() => engine.compile(words, weightsOf(makeParts())), code, message);
  });

  test('a program cut off at any word', () => {
    const words = encodeProgram(makeParts().program);
    for (let length = 0; length < words.length; ++length) {
      const cut = words.slice(0, length);
      expectRefusal(() => engine.compile(cut, weightsOf(makeParts())), 'invalid-program', /./);
      if (length >= 8) cut[2] = length;
      expectRefusal(() => engine.compile(cut, weightsOf(makeParts())), 'invalid-program', /./);
    }
  });

  test('weights cut off at any word', () => {
    const words = encodeProgram(makeParts().program);
    const weights = weightsOf(makeParts());
    for (let length = 0; length < weights.length; ++length) {
      const cut = weights.slice(0, length);
      expectRefusal(() => engine.compile(words, cut), 'invalid-program', /'block\/conv'.*needs \d+ bytes/);
    }
  });

  const tensor = (id: number, change: Partial<Program['tensors'][number]>) => (parts: Parts) => {
    Object.assign(parts.program.tensors[id]!, change);
  };
  const op = (change: Partial<OpOf<OpKind.Conv2D>>) => (parts: Parts) => {
    Object.assign(parts.conv, change);
  };
  const window = (change: Partial<typeof CONV.window>) => op({ window: { ...CONV.window, ...change } });
  const filter = (change: object) => op({ filter: { ...CONV.filter, ...change } });
  const replace = (index: number, other: Op) => (parts: Parts) => {
    parts.program.ops[index] = other;
  };
  const named = /'block\/conv'/.source;
  const SIZE = { height: 2, width: 2, alignCorners: false, halfPixelCenters: false };
  const TRANSPOSED = {
    kind: OpKind.TransposedConv2D as const,
    filter: FILTER,
    inChannels: 4,
    outChannels: 2,
    window: CONV.window,
    outputSize: [0, 0] as const,
    activation: {},
  };
  /** An op in place of the convolution. */
  const move = (draft: Move): Op => ({ ...draft, name: 'move', inputs: [1], output: 2 }) as Op;

  test.each<[string, (parts: Parts) => void, RegExp]>([
    ['a scale that is NaN', tensor(1, { scale: Number.NaN }), /Tensor 1.*scale.*nan/i],
    ['a scale of 0', tensor(1, { scale: 0 }), /Tensor 1.*scale 0/],
    ['a negative scale', tensor(1, { scale: -1 }), /Tensor 1.*scale -1/],
    ['an infinite scale', tensor(1, { scale: Number.POSITIVE_INFINITY }), /Tensor 1.*scale inf/],
    ['a zero point of 128', tensor(1, { zeroPoint: 128 }), /Tensor 1.*zero point 128/],
    ['a zero point of -129', tensor(1, { zeroPoint: -129 }), /Tensor 1.*zero point -129/],
    ['an unknown type', tensor(1, { type: 9 as TensorType }), /Tensor 1.*type 9/],
    ['rank 9', tensor(1, { shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] }), /Tensor 1.*rank 9/],
    ['an empty dimension', tensor(1, { shape: [-1, 0, 5, 4] }), /Tensor 1.*dimension 1 is 0/],
    ['a dimension of -2', tensor(1, { shape: [-2, 5, 5, 4] }), /Tensor 1.*dimension 0 is -2/],
    ['shapes past 2^31', tensor(1, { shape: [65536, 65536] }), /Tensor 1.*more than/],
    ['shapes past 2^53', tensor(1, { shape: [2 ** 27, 2 ** 27, 2] }), /Tensor 1.*more than/],
    ['shapes past 2^64', tensor(1, { shape: Array(8).fill(2 ** 31 - 1) }), /Tensor 1.*more than/],
    ['int8 at the border', tensor(0, { type: TensorType.Int8 }), /input tensor 0 is int8/],
    ['a convolution of int32', op({ inputs: [0] }), new RegExp(`${named}.*int8`)],
    ['an op that reads what is not written', op({ inputs: [3] }), new RegExp(`${named}: reads tensor 3`)],
    ['an op that writes its input', op({ output: 1 }), new RegExp(`${named}: writes tensor 1`)],
    ['an op with an input too many', op({ inputs: [1, 1] }), new RegExp(`${named}.*2 inputs`)],
    ['an op without inputs', op({ inputs: [] }), new RegExp(`${named}.*0 inputs`)],
    ['an op with an unknown tensor', op({ inputs: [44] }), /44/],
    ['an op name of 5000 letters', op({ name: 'x'.repeat(5000) }), /name has 5000 bytes/],
    ['an input named twice', ({ program }) => program.inputs.push(0), /Tensor 0 is an input twice/],
    ['an output named twice', ({ program }) => program.outputs.push(3), /Output tensor 3/],
    ['an output that is an input', ({ program }) => program.outputs.push(0), /Output tensor 0/],
    [
      'a filter past the weights',
      filter({ filterOffset: 80 }),
      new RegExp(`${named}: filter needs 72 bytes`),
    ],
    ['a negative filter offset', filter({ filterOffset: -4 }), new RegExp(`${named}: filter`)],
    ['a misaligned bias', filter({ biasOffset: 70 }), new RegExp(`${named}: bias`)],
    ['misaligned scales', filter({ scaleOffset: 78 }), new RegExp(`${named}: filter scales`)],
    ['an unknown weight format', filter({ format: 5 }), /weight format 5/],
    ['no groups', op({ groups: 0 }), new RegExp(`${named}: groups is 0`)],
    ['groups that do not divide', op({ groups: 3 }), new RegExp(`${named}: 3 groups`)],
    ['2^31 - 1 channels', op({ outChannels: 2 ** 31 - 1 }), new RegExp(`${named}: output channels`)],
    ['a kernel of 0', window({ kernel: [0, 0] }), new RegExp(`${named}: kernel height is 0`)],
    ['a kernel of 2^15 x 2^15', window({ kernel: [32768, 32768] }), new RegExp(`${named}: kernel`)],
    ['a stride of 0', window({ strides: [1, 0] }), new RegExp(`${named}: stride width is 0`)],
    ['a dilation of -1', window({ dilations: [-1, 1] }), new RegExp(`${named}: dilation height is -1`)],
    [
      'negative padding',
      window({ padding: { mode: PaddingMode.Explicit, left: -1 } }),
      new RegExp(`${named}: padding left is -1`),
    ],
    [
      'an unknown padding mode',
      window({ padding: { mode: 5 as PaddingMode } }),
      new RegExp(`${named}: padding mode is 5`),
    ],
    [
      'an empty range of codes',
      op({ activation: { codeMin: 4, codeMax: 3 } }),
      new RegExp(`${named}: greatest`),
    ],
    [
      'a code of 200',
      op({ activation: { codeMax: 200 } }),
      new RegExp(`${named}: greatest output code is 200`),
    ],
    [
      'a table past the weights',
      op({ activation: { tableOffset: 0 } }),
      new RegExp(`${named}: activation table`),
    ],
    ['a table scale of NaN', op({ activation: { preScale: Number.NaN } }), new RegExp(`${named}.*NaN`)],
    [
      'a bound of NaN',
      op({ activation: { floatMin: Number.NaN } }),
      new RegExp(`${named}: least output is NaN`),
    ],
    [
      'a bias that may overflow',
      ({ bias }) => bias.fill(2 ** 31 - 1),
      new RegExp(`${named}.*overflow int32`),
    ],
    ['a bias of -2^31', ({ bias }) => bias.fill(-(2 ** 31)), new RegExp(`${named}.*overflow int32`)],
    ['a weight of -128', ({ filter }) => filter.fill(-128, 71), new RegExp(`${named}.*weight of -128`)],
    [
      'a filter scale of NaN',
      ({ scales }) => scales.fill(Number.NaN),
      new RegExp(`${named}: filter scale 0`),
    ],
    ['a filter scale of 0', ({ scales }) => scales.fill(0, 1), new RegExp(`${named}: filter scale 1 is 0`)],
    [
      'a negative filter scale',
      ({ scales }) => scales.fill(-1),
      new RegExp(`${named}: filter scale 0 is -1`),
    ],
    ['an infinite filter scale', ({ scales }) => scales.fill(1 / 0), new RegExp(`${named}: filter scale 0`)],
    [
      'a float32 output of a pool',
      replace(1, {
        kind: OpKind.MaxPool,
        name: 'pool',
        inputs: [1],
        output: 3,
        window: CONV.window,
        activation: {},
      }),
      /'pool'.*int32.*int8/,
    ],
    [
      'a max pool between two scales',
      (parts) => {
        tensor(2, { scale: 0.25 })(parts);
        const pool = { kind: OpKind.MaxPool, name: 'pool', inputs: [1], output: 2 } as const;
        replace(1, { ...pool, window: CONV.window, activation: {} })(parts);
      },
      /'pool'.*same type, scale and zero point/,
    ],
    [
      'a reshape to an empty shape',
      replace(1, { kind: OpKind.Reshape, name: 'flat', inputs: [1], output: 2, shape: [0, 4] }),
      /'flat': target shape \[0, .*expected positive dimensions/,
    ],
    [
      'a reshape with two unknown dimensions',
      replace(1, { kind: OpKind.Reshape, name: 'flat', inputs: [1], output: 2, shape: [-1, -1] }),
      /'flat'.*at most one -1/,
    ],
    [
      'a concat along axis 8',
      replace(1, { kind: OpKind.Concat, name: 'join', inputs: [1], output: 2, axis: 8 }),
      /'join': axis is 8/,
    ],
    [
      'an add of one tensor',
      replace(1, { kind: OpKind.Add, name: 'sum', inputs: [1], output: 2, activation: {} }),
      /'sum'.*1 inputs/,
    ],
    [
      'a lookup without a table',
      replace(1, { kind: OpKind.Lookup, name: 'table', inputs: [1], output: 2, tableOffset: -1 }),
      /'table'.*offset -1/,
    ],
    [
      'a lookup of floats at an odd offset',
      (parts) => {
        tensor(2, { type: TensorType.Float32 })(parts);
        replace(1, { kind: OpKind.Lookup, name: 'table', inputs: [1], output: 2, tableOffset: 2 })(parts);
      },
      /'table': table of floats needs 1024 bytes at offset 2/,
    ],
    [
      'a prelu with more channels than alphas',
      replace(1, { kind: OpKind.Prelu, name: 'prelu', inputs: [1], output: 2, channels: 99, alphaOffset: 0 }),
      /'prelu': alpha needs 396 bytes/,
    ],
    [
      'a prelu whose alpha is NaN',
      (parts) => {
        parts.scales.fill(Number.NaN, 1);
        replace(1, {
          kind: OpKind.Prelu,
          name: 'prelu',
          inputs: [1],
          output: 2,
          channels: 2,
          alphaOffset: 80,
        })(parts);
      },
      /'prelu': alpha 1 is -?nan/,
    ],
    [
      'a layer normalization whose gamma is infinite',
      (parts) => {
        parts.scales.fill(1 / 0, 1);
        replace(1, move({ ...NORMALIZATION, channels: 2, gammaOffset: 80 }))(parts);
      },
      /'move': gamma and beta of channel 1 are inf/,
    ],
    [
      'a layer normalization past the weights',
      replace(1, move({ ...NORMALIZATION, channels: 99 })),
      /'move': gamma needs 396 bytes/,
    ],
    [
      'a layer normalization without epsilon',
      replace(1, move({ ...NORMALIZATION, epsilon: 0 })),
      /'move': epsilon is 0, expected a positive number/,
    ],
    [
      'a pad by -1',
      replace(1, move({ kind: OpKind.Pad, mode: 0, code: 0, paddings: [[-1, 0]] })),
      /before is -1/,
    ],
    [
      'a pad with an unknown mode',
      replace(1, move({ kind: OpKind.Pad, mode: 3 as PadMode, code: 0, paddings: [[0, 0]] })),
      /'move': mode is 3/,
    ],
    [
      'a pad with code 128',
      replace(1, move({ kind: OpKind.Pad, mode: 0, code: 128, paddings: [[0, 0]] })),
      /'move': code is 128/,
    ],
    [
      'a pad between two scales',
      (parts) => {
        tensor(2, { scale: 0.25 })(parts);
        replace(1, move({ kind: OpKind.Pad, mode: 0, code: 0, paddings: [[0, 0]] }))(parts);
      },
      /'move'.*same type, scale and zero point/,
    ],
    [
      'a slice of no elements',
      replace(1, move({ kind: OpKind.Slice, ranges: [{ begin: 0, size: 0, stride: 1 }] })),
      /'move': size is 0/,
    ],
    [
      'a slice from -1',
      replace(1, move({ kind: OpKind.Slice, ranges: [{ begin: -1, size: 1, stride: 1 }] })),
      /'move': begin is -1/,
    ],
    [
      'a slice backwards',
      replace(1, move({ kind: OpKind.Slice, ranges: [{ begin: 3, size: 1, stride: -1 }] })),
      /'move': stride is -1/,
    ],
    ['a transpose of no axes', replace(1, move({ kind: OpKind.Transpose, axes: [] })), /'move': rank is 0/],
    [
      'a transpose that names an axis twice',
      replace(1, move({ kind: OpKind.Transpose, axes: [0, 1, 1, 3] })),
      /'move': axis 1 occurs twice/,
    ],
    [
      'a transpose that names an axis too many',
      replace(1, move({ kind: OpKind.Transpose, axes: [0, 1, 2, 4] })),
      /'move': axis is 4/,
    ],
    ['blocks of 0', replace(1, move({ kind: OpKind.SpaceToDepth, block: 0 })), /'move': block size is 0/],
    [
      'an image resized to nothing',
      replace(1, move({ kind: OpKind.ResizeBilinear, size: { ...SIZE, height: 0 } })),
      /'move': height is 0/,
    ],
    [
      'an image resized with both corners and centers aligned',
      replace(
        1,
        move({
          kind: OpKind.ResizeNearestNeighbor,
          size: { ...SIZE, alignCorners: true, halfPixelCenters: true },
        }),
      ),
      /'move': corners cannot be aligned/,
    ],
    [
      'a rotation by blocks of 48',
      replace(1, move({ kind: OpKind.Rotate, rotation: { ...ROTATION, block: 48 } })),
      /'move': block is 48, expected a power of two/,
    ],
    [
      'a rotation by blocks of 1',
      replace(1, move({ kind: OpKind.Rotate, rotation: { ...ROTATION, block: 1 } })),
      /'move': block is 1/,
    ],
    [
      'a rotation of 2^31 - 1 elements',
      replace(1, move({ kind: OpKind.Rotate, rotation: { ...ROTATION, depth: 2 ** 31 - 1 } })),
      /'move': depth is 2147483647/,
    ],
    [
      'a transposed convolution with dilation',
      replace(1, move({ ...TRANSPOSED, window: { ...CONV.window, dilations: [1, 2] } })),
      /'move': a transposed convolution takes no dilation/,
    ],
    [
      'a transposed convolution of a filter past the weights',
      replace(1, move({ ...TRANSPOSED, outChannels: 99 })),
      /'move': filter needs 3564 bytes/,
    ],
    [
      'a transposed convolution that may overflow',
      (parts) => {
        parts.bias.fill(2 ** 31 - 1);
        replace(1, move(TRANSPOSED))(parts);
      },
      /'move'.*overflow int32/,
    ],
    [
      'a constant past the weights',
      replace(1, { kind: OpKind.Constant, name: 'codes', inputs: [], output: 2, offset: 85, shape: [9] }),
      /'codes': constant needs 9 bytes at offset 85/,
    ],
    [
      'a constant of 2^40 elements',
      replace(1, {
        kind: OpKind.Constant,
        name: 'codes',
        inputs: [],
        output: 2,
        offset: 0,
        shape: [2 ** 20, 2 ** 20],
      }),
      /'codes': has too many elements/,
    ],
    [
      'a matrix product of one matrix',
      replace(1, move({ kind: OpKind.BatchMatMul, transposeA: false, transposeB: false, activation: {} })),
      /'move': has 1 inputs, expected 2/,
    ],
    [
      'a softmax of int32',
      replace(1, { kind: OpKind.Softmax, name: 'soft', inputs: [0], output: 2 }),
      /'soft': input is int32, expected int8/,
    ],
    [
      'a softmax to int32',
      replace(1, { kind: OpKind.Softmax, name: 'soft', inputs: [1], output: 3 }),
      /'soft': output is int32, expected int8/,
    ],
  ])('%s', (_, change, message) => {
    expectRefusal(() => compileParts(change), 'invalid-program', message);
  });

  test('a bias one larger than what the sums leave of int32, and no smaller one', () => {
    const largestSum = 255 * 127 * 36;
    const room = 2 ** 31 - 1 - largestSum;
    compileParts(({ bias }) => bias.set([room, -room])).dispose();
    const change = ({ bias }: Parts) => bias.set([0, -room - 1]);
    expectRefusal(
      () => compileParts(change),
      'invalid-program',
      /'block\/conv'.*output channel 1.*2147483648/,
    );
  });

  test('a ratio of scales past float32', () => {
    const change = (parts: Parts) => {
      tensor(1, { scale: 1e38 })(parts);
      tensor(2, { scale: 1e-38 })(parts);
    };
    expectRefusal(() => compileParts(change), 'invalid-program', /'block\/conv'.*float32 range/);
  });
});

/** Programs of a quantizer by the values at hand and one op that reads its codes. */
describe('compile refuses, of dynamic codes,', () => {
  const { Sample, Row, Channel } = Granularity;
  type Conv = OpOf<OpKind.Conv2D>;
  interface DynamicParts extends Omit<Parts, 'bias'> {
    bias: Float32Array;
  }

  function dynamicParts(): DynamicParts {
    const parts = makeParts();
    const { program, conv } = parts;
    const tensor = (type: TensorType, channels: number, granularity?: Granularity) => ({
      type,
      shape: [-1, 5, 5, channels],
      scale: 1,
      zeroPoint: 0,
      granularity,
    });
    program.tensors = [
      tensor(TensorType.Float32, 4),
      tensor(TensorType.DynamicInt8, 4, Sample),
      tensor(TensorType.Float32, 2),
    ];
    program.ops = [{ kind: OpKind.QuantizeDynamic, name: 'in', inputs: [0], output: 1 }, conv];
    program.outputs = [2];
    return { ...parts, bias: Float32Array.of(5, -5) };
  }

  function compileDynamic(change: (parts: DynamicParts) => void = () => {}) {
    const parts = dynamicParts();
    change(parts);
    const weights = new WeightsBuilder();
    for (const data of [parts.filter, parts.bias, parts.scales]) weights.append(data);
    return engine.compile(encodeProgram(parts.program), weights.build());
  }

  const granularity =
    (of: number) =>
    ({ program }: DynamicParts) => {
      program.tensors[1]!.granularity = of;
    };
  const grid =
    (first: number, step: number) =>
    ({ program }: DynamicParts) => {
      program.ops[0] = {
        kind: OpKind.QuantizeGrid,
        name: 'in',
        inputs: [0],
        output: 1,
        grid: { first, step },
      };
    };
  const reader =
    (draft: Move, output: Partial<Program['tensors'][number]> = {}) =>
    ({ program }: DynamicParts) => {
      program.ops[1] = { ...draft, name: 'op', inputs: [1], output: 2 } as Op;
      Object.assign(program.tensors[2]!, output);
    };
  const conv =
    (change: Partial<Conv>) =>
    ({ conv }: DynamicParts) => {
      Object.assign(conv, change);
    };
  const both =
    (...changes: ((parts: DynamicParts) => void)[]) =>
    (parts: DynamicParts) => {
      for (const change of changes) change(parts);
    };
  const point = (change: Partial<Conv['window']> = {}) =>
    conv({ window: { kernel: [1, 1], strides: [1, 1], padding: { mode: PaddingMode.Valid }, ...change } });
  const depthwise = (multiplier: number): Move => ({
    kind: OpKind.DepthwiseConv2D,
    filter: { ...FILTER, biasOffset: undefined },
    channels: 2 / multiplier,
    multiplier,
    window: CONV.window,
    activation: {},
  });
  const linear: Move = {
    kind: OpKind.Linear,
    filter: FILTER,
    inFeatures: 4,
    outFeatures: 2,
    activation: {},
  };

  test('nothing that is right', () => {
    compileDynamic().dispose();
    compileDynamic(grid(-1, 2 / 255)).dispose();
    compileDynamic(both(point(), granularity(Row))).dispose();
    compileDynamic(both(reader(depthwise(1)), granularity(Channel))).dispose();
    compileDynamic(both(reader(linear), granularity(Row))).dispose();
  });

  test.each<[string, (parts: DynamicParts) => void, RegExp]>([
    ['a granularity of 3', granularity(3), /Tensor 1 has granularity 3, expected 0 to 2/],
    ['a granularity of -1', granularity(-1), /Tensor 1 has granularity -1/],
    [
      'an input of the program',
      ({ program }) => {
        program.inputs = [1];
      },
      /input tensor 1 is dynamic int8; only float32 and int32 cross the border/,
    ],
    [
      'an output of the program',
      ({ program }) => {
        program.outputs = [1];
      },
      /output tensor 1 is dynamic int8; only/,
    ],
    ['a scale a channel for a convolution', granularity(Channel), /'block\/conv': .*granularity 2/],
    ['a scale a pixel for a 3x3 kernel', granularity(Row), /'block\/conv': .*granularity 1/],
    ['a scale a pixel for strides', both(point({ strides: [1, 2] }), granularity(Row)), /granularity 1/],
    [
      'a scale a pixel for padding',
      both(point({ padding: { mode: PaddingMode.Explicit, left: 1 } }), granularity(Row)),
      /granularity 1/,
    ],
    ['a scale a sample for a depthwise convolution', reader(depthwise(1)), /'op': .*granularity 0/],
    [
      'a scale a pixel for a depthwise convolution',
      both(reader(depthwise(1)), granularity(Row)),
      /'op': .*granularity 1/,
    ],
    ['a multiplier of channels', both(reader(depthwise(2)), granularity(Channel)), /'op': .*granularity 2/],
    ['a scale a sample for a matrix product', reader(linear), /'op': .*granularity 0/],
    [
      'a scale a channel for a matrix product',
      both(reader(linear), granularity(Channel)),
      /'op': .*granularity 2/,
    ],
    ['a bias of NaN', ({ bias }) => bias.fill(Number.NaN, 1), /'block\/conv': .*output channel 1 is nan/i],
    ['an infinite bias', ({ bias }) => bias.fill(-1 / 0), /'block\/conv': .*output channel 0 is -inf/],
    ['a filter scale of NaN', ({ scales }) => scales.fill(Number.NaN), /filter scale 0 is nan/i],
    [
      'weights in int16',
      conv({ filter: { ...CONV.filter, format: WeightFormat.Int16 } }),
      /'block\/conv': .*format 16/,
    ],
    [
      'int16 weights in 8 bits',
      conv({ filter: { ...CONV.filter, format: WeightFormat.OffsetInt8, zeroPointOffset: 0 } }),
      /'block\/conv': .*format 17/,
    ],
    [
      'weights of 4 bits',
      conv({
        filter: { ...CONV.filter, format: WeightFormat.Codebook4, levelsOffset: 0, group: 0, unit: 1 },
      }),
      /'block\/conv': .*format 3/,
    ],
    [
      'an int8 result',
      ({ program }) => {
        program.tensors[2]!.type = TensorType.Int8;
        program.tensors.push({ ...program.tensors[2]!, type: TensorType.Float32 });
        program.ops.push({ kind: OpKind.Dequantize, name: 'out', inputs: [2], output: 3 });
        program.outputs = [3];
      },
      /'block\/conv': output is int8, expected float32/,
    ],
    [
      'a table',
      ({ conv, filter }) => {
        filter.fill(1);
        conv.activation = { tableOffset: 0 };
      },
      /'block\/conv': activation table/,
    ],
    ['a grid of one value', grid(-1, 0), /'in': a grid from -1 in steps of 0/],
    ['a grid that falls', grid(0, -1), /'in': a grid/],
    ['a grid of steps of NaN', grid(-1, Number.NaN), /'in': step of the grid is NaN/],
    ['a grid from NaN', grid(Number.NaN, 1), /'in': first value of the grid is NaN/],
    ['a grid of infinite steps', grid(-1, 1 / 0), /'in': a grid/],
    ['a grid from minus infinity', grid(-1 / 0, 1), /'in': a grid/],
    ['a grid whose end is infinite', grid(-1, 3e38), /'in': a grid/],
    ['a grid above 0', grid(0.5, 1), /'in': a grid/],
    ['a grid below 0', grid(-256, 1), /'in': a grid/],
    ['a grid a row', both(point(), granularity(Row), grid(-1, 2 / 255)), /'in': a grid/],
  ])('%s', (_, change, message) => {
    expectRefusal(() => compileDynamic(change), 'invalid-program', message);
  });

  const SIZE = { height: 2, width: 2, alignCorners: false, halfPixelCenters: false };
  const pool = { window: CONV.window, activation: {} };
  const OTHERS: readonly Move[] = [
    { kind: OpKind.Quantize },
    { kind: OpKind.Dequantize },
    { kind: OpKind.Cast },
    { kind: OpKind.MaxPool, ...pool },
    { kind: OpKind.AvgPool, ...pool },
    { kind: OpKind.Concat, axis: 0 },
    { kind: OpKind.Reshape, shape: [-1, 4] },
    { kind: OpKind.Lookup, tableOffset: 0 },
    { kind: OpKind.Softmax },
    { kind: OpKind.Prelu, channels: 4, alphaOffset: 0 },
    { kind: OpKind.Pad, mode: 0, code: 0, paddings: [[1, 1]] },
    { kind: OpKind.Slice, ranges: [{ begin: 0, size: -1, stride: 1 }] },
    { kind: OpKind.Transpose, axes: [0, 2, 1, 3] },
    { kind: OpKind.SpaceToDepth, block: 1 },
    { kind: OpKind.DepthToSpace, block: 1 },
    { kind: OpKind.ResizeNearestNeighbor, size: SIZE },
    { kind: OpKind.ResizeBilinear, size: SIZE },
    {
      kind: OpKind.TransposedConv2D,
      filter: { ...FILTER, biasOffset: undefined },
      inChannels: 4,
      outChannels: 2,
      window: CONV.window,
      outputSize: [0, 0],
      activation: {},
    },
    { kind: OpKind.Rotate, rotation: ROTATION },
    NORMALIZATION,
    { kind: OpKind.LinearFloat, filter: FILTER, inFeatures: 4, outFeatures: 2, activation: {} },
    { kind: OpKind.Gather, filter: { ...FILTER, biasOffset: undefined }, rows: 2, depth: 4 },
    { kind: OpKind.QuantizeInt16 },
    { kind: OpKind.QuantizeDynamic },
    { kind: OpKind.QuantizeGrid, grid: { first: -1, step: 1 } },
    { kind: OpKind.FloatAffine, channels: 1, aOffset: 0, bOffset: 0 },
    { kind: OpKind.FloatFunction, function: 0 },
  ];
  const TYPES = [
    TensorType.Float32,
    TensorType.Int8,
    TensorType.Int16,
    TensorType.Int32,
    TensorType.DynamicInt8,
  ];

  const granularityOf = (type: TensorType) => (type === TensorType.DynamicInt8 ? Sample : undefined);

  /** The program with another op behind its own, so that a result of any type is no output. */
  const withReader = (draft: Move, input: TensorType, output: TensorType) => (parts: DynamicParts) => {
    const { program } = parts;
    const shape = [-1, -1, -1, -1];
    program.tensors.push(
      { ...program.tensors[1]!, granularity: granularityOf(input), type: input },
      { ...program.tensors[1]!, granularity: granularityOf(output), shape, type: output },
    );
    const own = input === TensorType.DynamicInt8 ? OpKind.QuantizeDynamic : OpKind.Quantize;
    if (input !== TensorType.Float32) program.ops.push({ kind: own, name: 'own', inputs: [0], output: 3 });
    const inputs = [input === TensorType.Float32 ? 0 : 3];
    program.ops.push({ ...draft, name: 'op', inputs, output: 4 } as Op);
  };

  test.each(OTHERS.map((draft) => [OpKind[draft.kind], draft] as const))('%s of them', (_, draft) => {
    for (const type of TYPES) {
      const change = withReader(draft, TensorType.DynamicInt8, type);
      expectRefusal(() => compileDynamic(change), 'invalid-program', /'op': /);
    }
  });

  const makers: readonly OpKind[] = [OpKind.QuantizeDynamic, OpKind.QuantizeGrid];
  test.each(
    OTHERS.filter(({ kind }) => !makers.includes(kind)).map((draft) => [OpKind[draft.kind], draft] as const),
  )('%s to them', (_, draft) => {
    for (const type of [TensorType.Float32, TensorType.Int8]) {
      const change = withReader(draft, type, TensorType.DynamicInt8);
      expectRefusal(() => compileDynamic(change), 'invalid-program', /'op': /);
    }
  });
});

describe('planning refuses', () => {
  test.each<[string, number[][], LowbitErrorCode, RegExp]>([
    ['another rank', [[5, 5, 4]], 'invalid-shape', /\[5, 5, 4\], expected \[-1, 5, 5, 4\]/],
    ['another size', [[1, 5, 6, 4]], 'invalid-shape', /\[1, 5, 6, 4\], expected \[-1, 5, 5, 4\]/],
    ['an empty batch', [[0, 5, 5, 4]], 'invalid-shape', /dimension 0 is 0/],
    ['a negative batch', [[-1, 5, 5, 4]], 'invalid-shape', /-1/],
    ['a batch of NaN', [[Number.NaN, 5, 5, 4]], 'invalid-shape', /NaN/],
    ['half a batch', [[0.5, 5, 5, 4]], 'invalid-shape', /0\.5/],
    ['a batch of 2^31', [[2 ** 31, 5, 5, 4]], 'invalid-shape', /2147483648/],
    ['a batch of 2^53', [[2 ** 53, 5, 5, 4]], 'invalid-shape', /9007199254740992/],
    ['more elements than int32 counts', [[2 ** 30, 5, 5, 4]], 'invalid-shape', /more than/],
    ['rank 9', [[1, 1, 1, 1, 1, 1, 1, 1, 1]], 'invalid-shape', /rank 9/],
    ['no shapes', [], 'invalid-argument', /1 inputs/],
    ['two shapes', [[1, 5, 5, 4], [1]], 'invalid-argument', /1 inputs/],
  ])('%s', (_, shapes, code, message) => {
    const compiled = compileParts();
    expectRefusal(() => compiled.outputShapes(shapes), code, message);
    expect(compiled.outputShapes([[2, 5, 5, 4]])).toEqual([[2, 5, 5, 2]]);
    compiled.dispose();
  });

  test('shapes that break what an intermediate tensor promised', () => {
    const compiled = compileParts(({ program }) => {
      program.tensors[2]!.shape = [-1, 5, 5, 3];
    });
    expectRefusal(
      () => compiled.outputShapes([[1, 5, 5, 4]]),
      'invalid-shape',
      /'block\/conv'.*\[1, 5, 5, 2\], expected \[-1, 5, 5, 3\]/,
    );
    compiled.dispose();
  });

  test('a filter that does not fit its input', () => {
    const compiled = compileParts(({ program, conv }) => {
      for (const { shape } of program.tensors) (shape as number[]).fill(-1);
      conv.window = { ...CONV.window, padding: { mode: PaddingMode.Valid } };
    });
    expectRefusal(() => compiled.outputShapes([[1, 5, 5, 6]]), 'invalid-shape', /4 input channels.*has 6/);
    expectRefusal(() => compiled.outputShapes([[1, 2, 5, 4]]), 'invalid-shape', /height 2.*reach of 3/);
    expect(compiled.outputShapes([[1, 3, 5, 4]])).toEqual([[1, 1, 3, 2]]);
    compiled.dispose();
  });
});

/** What planning says to an op of int8 codes of any shape. */
describe('planning refuses shapes that an op cannot take', () => {
  const code = { scale: 0.5, zeroPoint: 3 };
  const size = { height: 2, width: 2, alignCorners: false, halfPixelCenters: false };
  const channels = new WeightsBuilder();
  channels.append(new Float32Array(4));
  channels.append(Float32Array.of(1));

  test.each<[string, Move, number[], RegExp]>([
    [
      'a pad of another rank',
      { kind: OpKind.Pad, mode: 0, code: 0, paddings: [[1, 1]] },
      [2, 2],
      /expected rank 1/,
    ],
    [
      'a reflection of all elements',
      { kind: OpKind.Pad, mode: 1, code: 0, paddings: [[0, 3]] },
      [3],
      /axis 0 of shape \[3\] can be mirrored by at most 2, not 3/,
    ],
    [
      'a symmetric pad of more than all elements',
      { kind: OpKind.Pad, mode: 2, code: 0, paddings: [[4, 0]] },
      [3],
      /at most 3, not 4/,
    ],
    [
      'a slice past the end',
      { kind: OpKind.Slice, ranges: [{ begin: 1, size: 2, stride: 3 }] },
      [4],
      /2 elements from 1 by steps of 3 lie outside axis 0 of shape \[4\]/,
    ],
    [
      'a slice that begins past the end',
      { kind: OpKind.Slice, ranges: [{ begin: 9, size: -1, stride: 1 }] },
      [4],
      /from 9 by steps of 1 lie outside axis 0/,
    ],
    [
      'a transposed convolution to a size that gives another image',
      {
        kind: OpKind.TransposedConv2D,
        filter: { filterOffset: 0, scaleOffset: 16, format: WeightFormat.Int8 },
        inChannels: 1,
        outChannels: 1,
        window: { kernel: [2, 2], strides: [2, 2], padding: { mode: PaddingMode.Same } },
        outputSize: [3, 9],
        activation: {},
      },
      [1, 2, 4, 1],
      /a convolution of 3 x 9 pixels gives 2 x 5, but the activation has shape \[1, 2, 4, 1\]/,
    ],
    ['a transpose of another rank', { kind: OpKind.Transpose, axes: [1, 0] }, [4], /expected rank 2/],
    [
      'blocks that do not divide',
      { kind: OpKind.SpaceToDepth, block: 2 },
      [1, 4, 3, 1],
      /2 x 2 do not divide/,
    ],
    [
      'channels that are no blocks',
      { kind: OpKind.DepthToSpace, block: 2 },
      [1, 4, 3, 6],
      /2 x 2 do not divide/,
    ],
    ['blocks of a matrix', { kind: OpKind.SpaceToDepth, block: 2 }, [4, 4], /expected \[batch, height/],
    ['a matrix resized', { kind: OpKind.ResizeBilinear, size }, [4, 4], /expected \[batch, height/],
    ['a rotation of a scalar', { kind: OpKind.Rotate, rotation: ROTATION }, [], /expected 4 elements/],
    [
      'a rotation of longer rows',
      { kind: OpKind.Rotate, rotation: ROTATION },
      [2, 5],
      /input has shape \[2, 5\], expected 4 elements along the last axis/,
    ],
    [
      'a layer normalization of other channels',
      { ...NORMALIZATION, gammaOffset: 0 },
      [2, 5],
      /input has shape \[2, 5\], expected 4 elements along the last axis/,
    ],
    ['a softmax of a scalar', { kind: OpKind.Softmax }, [], /a scalar has no last axis/],
    [
      'a prelu of other channels',
      { kind: OpKind.Prelu, channels: 4, alphaOffset: 0 },
      [2, 5],
      /has 4 slopes but the activation has shape \[2, 5\]/,
    ],
  ])('%s', (_, op, shape, message) => {
    const any = shape.map(() => -1);
    const compiled = engine.compile(
      encodeProgram({
        tensors: [
          { type: TensorType.Int32, shape: any, ...code },
          { type: TensorType.Int8, shape: any, ...code },
          { type: TensorType.Int8, shape: any, ...code },
          { type: TensorType.Int32, shape: any, ...code },
        ],
        ops: [
          { kind: OpKind.Cast, name: 'in', inputs: [0], output: 1 },
          { ...op, name: 'op', inputs: [1], output: 2 } as Op,
          { kind: OpKind.Cast, name: 'out', inputs: [2], output: 3 },
        ],
        inputs: [0],
        outputs: [3],
      }),
      channels.build(),
    );
    expectRefusal(() => compiled.outputShapes([shape]), 'invalid-shape', message);
    compiled.dispose();
  });
});

test.each<[number[], number[], RegExp]>([
  [[2, 3], [4, 2], /shapes \[2, 3\] and \[4, 2\] do not multiply/],
  [[3], [3, 2], /shapes \[3\] and \[3, 2\] do not multiply/],
  [[2, 2, 3], [3, 3, 2], /do not multiply/],
  [[1, 33026], [33026, 1], /a sum of 33026 products could overflow int32, expected at most 33025/],
])('planning refuses a matrix product of %j and %j', (a, b, message) => {
  const builder = new CaseBuilder();
  const code = { scale: 1, zeroPoint: 0 };
  const params = int8(code);
  const operands = [a, b].map((shape) => builder.codes(shape, new Int32Array(sizeOf(shape)), code));
  const { program } = builder;
  const product = program.tensors.push({ ...params, shape: [-1, -1] }) - 1;
  const outside = program.tensors.push({ ...params, type: TensorType.Int32, shape: [-1, -1] }) - 1;
  program.ops.push(
    {
      kind: OpKind.BatchMatMul,
      name: 'product',
      inputs: operands,
      output: product,
      transposeA: false,
      transposeB: false,
      activation: {},
    },
    { kind: OpKind.Cast, name: 'out', inputs: [product], output: outside },
  );
  program.outputs.push(outside);
  const compiled = engine.compile(encodeProgram(program), builder.weights.build());
  expectRefusal(() => compiled.outputShapes([a, b]), 'invalid-shape', message);
  compiled.dispose();
});

describe('running refuses', () => {
  const shape = [[1, 5, 5, 4]];
  const input = new Int32Array(100);
  const output = new Int32Array(50);

  test.each<[string, Int32Array[], Int32Array[], RegExp]>([
    ['an input too short', [new Int32Array(99)], [output], /input 0 has 396 bytes, expected 400/],
    ['an input too long', [new Int32Array(101)], [output], /input 0 has 404 bytes, expected 400/],
    ['an output too short', [input], [new Int32Array(49)], /output 0 has 196 bytes, expected 200/],
    ['no inputs', [], [output], /1 inputs, but 0/],
    ['no outputs', [input], [], /1 outputs, but 0/],
    ['an output too many', [input], [output, output], /1 outputs, but 2/],
  ])('%s', (_, inputs, outputs, message) => {
    const compiled = compileParts();
    expectRefusal(() => compiled.run(shape, inputs, outputs), 'invalid-argument', message);
    compiled.run(shape, [input], [output]);
    compiled.dispose();
  });

  test('a program that was disposed of, twice', () => {
    const compiled = compileParts();
    compiled.dispose();
    compiled.dispose();
    expectRefusal(() => compiled.run(shape, [input], [output]), 'invalid-argument', /disposed/);
    expectRefusal(() => compiled.outputShapes(shape), 'invalid-argument', /disposed/);
    expect(compiled.memoryBytes).toEqual({ weights: 0, arena: 0, withoutReuse: 0 });
  });
});

/** Values that break checks: ends of ranges, float bits of NaN and infinity, lengths off by one. */
function mutate(words: Int32Array, random: Random): Int32Array {
  const at = random.int(0, words.length - 1);
  const result = words.slice();
  switch (random.int(0, 5)) {
    case 0:
      result[at] = random.pick([
        -1,
        0,
        1,
        2,
        255,
        256,
        32768,
        2 ** 31 - 1,
        -(2 ** 31),
        0x7fc00000,
        0x7f800000,
      ]);
      return result;
    case 1:
      result[at]! ^= 1 << random.int(0, 31);
      return result;
    case 2:
      result[at]! += random.pick([-1, 1]);
      return result;
    case 3:
      result[at] = random.pick(words as unknown as number[]);
      return result;
    case 4:
      return withLength(Int32Array.from([...words.slice(0, at), ...words.slice(at + 1)]));
    default:
      return withLength(Int32Array.from([...words.slice(0, at), random.int(-2, 5), ...words.slice(at)]));
  }
}

/** Corrects the length in the header, so that the damage inside is reached. */
function withLength(words: Int32Array): Int32Array {
  return words.length > 2 ? words.with(2, words.length) : words;
}

/** Bits, but for NaN, whose sign is left open. */
function textOf(words: Int32Array, type: TensorType): string {
  if (type !== TensorType.Float32) return words.join();
  const floats = new Float32Array(words.buffer);
  return Array.from(words, (word, i) => (Number.isNaN(floats[i]) ? 'NaN' : word)).join();
}

/** The outputs of a program that may be damaged, or the error that refused it. */
function attempt(
  { isa, compile }: Engine,
  words: Int32Array,
  { weights, inputs, inputShapes, program }: KernelCase,
): string {
  try {
    const compiled = compile(words, weights);
    try {
      const shapes = compiled.outputShapes(inputShapes);
      if (shapes.some((shape) => sizeOf(shape) > 1e6)) return 'large';
      const outputs = shapes.map((shape) => new Int32Array(sizeOf(shape)));
      compiled.run(inputShapes, inputs, outputs);
      return outputs.map((words, i) => textOf(words, program.tensors[program.outputs[i]!]!.type)).join('\n');
    } finally {
      compiled.dispose();
    }
  } catch (error) {
    if (!(error instanceof LowbitError)) throw error;
    if (error.message.length < 20)
      throw new Error(`${isa}: message '${error.message}' of ${program.ops.length} ops`);
    return `${error.code}: ${error.message}`;
  }
}

test('thousands of damaged programs are refused, or compute the same on every instruction set', async () => {
  engine.threads = 1;
  const series = [...ALL_SERIES, ...DYNAMIC_SERIES];
  let refused = 0;
  const cases = await forEachCase('damaged programs', 3000, (random, index) => {
    const builder = new CaseBuilder(random.chance(0.5));
    builder.output(series[index % series.length]!.draw(new Drawer(builder, random), random));
    const kernelCase = builder.build();
    const words = mutate(encodeProgram(kernelCase.program), random);
    const [first, ...others] = engines.map((one) => attempt(one, words, kernelCase));
    for (const other of others) expect(other).toBe(first);
    if (/^[a-z-]+: /.test(first!)) refused += 1;
  });
  expect(refused).toBeGreaterThan(cases / 3);
});
