// @needs engine
/** Filters of 2, 3 and 4 bits: what is refused, and golden bytes. Random ones are among the cases of every op. */
import { LowbitError } from '../../src/base/errors';
import {
  encodeProgram,
  type LowBitFilterRef,
  type LowBitFormat,
  type Op,
  OpKind,
  PaddingMode,
  type Program,
  TensorType,
  WeightFormat,
  WeightsBuilder,
  type Window,
} from '../../src/program/program';
import { everyIsa } from '../support/run-engine';

const { Codebook2, Codebook3, Codebook4, Trellis2 } = WeightFormat;
const engines = everyIsa();
const engine = engines.at(-1)!;

const ONE = 0x3c00; // float16

interface Parts {
  /** Row-major. */
  codes: number[];
  levels: number[];
  scales: number[];
  bias: number[];
  ref: { format: LowBitFormat; group: number; unit: number; filterOffset?: number; scaleOffset?: number };
  inputs: number;
  outputs: number;
  /** Int8 codes, at scale 1. */
  x: number[];
  zeroPoint: number;
}

const PARTS: Parts = {
  codes: [0b11100100, 0b11100100],
  levels: [-3, -1, 1, 3],
  scales: [ONE, ONE],
  bias: [0, 0],
  ref: { format: Codebook2, group: 0, unit: 1 },
  inputs: 4,
  outputs: 2,
  x: [1, 10, 100, -50],
  zeroPoint: 0,
};

/** The weights of a filter, and where its parts lie; what an offset of `ref` says instead goes first. */
function weightsOf(parts: Parts): { filter: LowBitFilterRef; weights: Int32Array } {
  const weights = new WeightsBuilder();
  const levels = new Int8Array(16);
  levels.set(parts.levels);
  const filter = {
    filterOffset: weights.append(Uint8Array.from(parts.codes)),
    levelsOffset: weights.append(levels),
    biasOffset: weights.append(Float32Array.from(parts.bias)),
    scaleOffset: weights.append(Uint16Array.from(parts.scales)),
    ...parts.ref,
  };
  return { filter, weights: weights.build() };
}

/** float32 outputs of a linear layer, or of another op in its place. */
function compileParts(change: Partial<Parts>, replace: (op: Op) => Op = (op) => op, on = engine) {
  const parts = { ...PARTS, ...change };
  const { filter, weights } = weightsOf(parts);
  const codes = { scale: 1, zeroPoint: parts.zeroPoint };
  const op = replace({
    kind: OpKind.Linear,
    name: 'block/dense',
    inputs: [1],
    output: 2,
    filter,
    inFeatures: parts.inputs,
    outFeatures: parts.outputs,
    activation: {},
  });
  const depthwise = op.kind === OpKind.DepthwiseConv2D;
  const program: Program = {
    tensors: [
      { type: TensorType.Int32, shape: [1, 1, 1, parts.inputs], ...codes },
      { type: TensorType.Int8, shape: [1, 1, 1, parts.inputs], ...codes },
      {
        type: depthwise ? TensorType.Int8 : TensorType.Float32,
        shape: [1, 1, 1, parts.outputs],
        scale: 1,
        zeroPoint: 0,
      },
    ],
    ops: [{ kind: OpKind.Cast, name: 'in', inputs: [0], output: 1 }, op],
    inputs: [0],
    outputs: [2],
  };
  return on.compile(encodeProgram(program), weights);
}

function outputsOf(change: Partial<Parts>): number[][] {
  return engines.map((each) => {
    const compiled = compileParts(change, undefined, each);
    const { inputs, outputs, x } = { ...PARTS, ...change };
    const result = new Float32Array(outputs);
    compiled.run([[1, 1, 1, inputs]], [Int32Array.from(x)], [result]);
    compiled.dispose();
    return Array.from(result);
  });
}

function expectOnEveryIsa(change: Partial<Parts>, expected: number[]): void {
  for (const outputs of outputsOf(change)) expect(outputs).toEqual(expected);
}

describe('golden bytes', () => {
  test('2 bits: four codes a byte, the first in the lowest bits', () => {
    expectOnEveryIsa({ codes: [0b11_10_01_00, 0b00_00_00_11] }, [-3 - 10 + 100 - 150, 3 - 30 - 300 + 150]);
  });

  test('3 bits: eight codes a little-endian word of 24 bits, a row ends with a whole word', () => {
    const word = [3, 6, 0, 7, 1, 2, 5, 4].reduce((sum, code, i) => sum + code * 8 ** i, 0);
    const row = [word & 255, (word >> 8) & 255, word >> 16];
    const change = {
      codes: [...row, 0b101, 0, 0],
      levels: [-7, -5, -3, -1, 1, 3, 5, 7],
      ref: { format: Codebook3, group: 0, unit: 1 } as const,
      inputs: 9,
      outputs: 1,
      scales: [ONE],
      bias: [0],
      x: [1, 1, 1, 1, 2, 1, 1, 1, 10],
    };
    expectOnEveryIsa(change, [-1 + 5 - 7 + 7 - 2 * 5 - 3 + 3 + 1 + 10 * 3]);
  });

  test('4 bits: two codes a byte, the first in the lower half', () => {
    const change = {
      codes: [0x1f, 0x82, 0x08, 0x00],
      levels: [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7],
      ref: { format: Codebook4, group: 0, unit: 1 } as const,
    };
    expectOnEveryIsa(change, [7 - 70 - 600 - 0, 0 - 80 - 800 + 400]);
  });

  test('trellis: the code four inputs before is the lower half of the index', () => {
    const change = {
      codes: [0b11_10_01_00, 0b01_01_01_01],
      levels: [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33],
      ref: { format: Trellis2, group: 0, unit: 1 } as const,
      inputs: 8,
      outputs: 1,
      scales: [ONE],
      bias: [0],
      x: [0, 0, 1, 1, 1, 1, 1, 1],
    };
    expectOnEveryIsa(change, [20 + 30 + 10 + 11 + 12 + 13]);
  });

  test('scales are float16, one a group; unit, bias and the zero point of the input count in', () => {
    const change = {
      codes: [...Array(8).fill(0xff), 0x02],
      // The smallest float16, 2^-24, and the smallest with a leading 1, 2^-14.
      scales: [1, 0x400],
      ref: { format: Codebook2, group: 32, unit: 2 ** 20 } as const,
      inputs: 33,
      outputs: 1,
      bias: [0.25],
      x: [...Array(32).fill(5), 12],
      zeroPoint: 4,
    };
    expectOnEveryIsa(change, [32 * 3 * 2 ** -4 + 8 * 2 ** 6 + 0.25]);
  });
});

test('a row of zero points gives the bias exactly', () => {
  const random = Array.from({ length: 75 }, (_, i) => (i * 89) % 256);
  const change = {
    codes: random,
    scales: Array.from({ length: 3 }, (_, i) => 0x2e66 + i),
    ref: { format: Trellis2, group: 128, unit: 0.7 } as const,
    levels: Array.from({ length: 16 }, (_, i) => (i * 29) % 64),
    inputs: 300,
    outputs: 1,
    bias: [0.1],
    x: Array(300).fill(-128),
    zeroPoint: -128,
  };
  expectOnEveryIsa(change, [Math.fround(0.1)]);
});

describe('compile refuses', () => {
  const named = /QuantizedLinear 'block\/dense'/.source;

  function expectRefusal(compile: () => unknown, message: RegExp): void {
    let error: unknown;
    try {
      compile();
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(LowbitError);
    expect(error).toMatchObject({ code: 'invalid-program', message: expect.stringMatching(message) });
  }

  const ref = (change: object): Partial<Parts> => ({ ref: { ...PARTS.ref, ...change } });

  test.each<[string, Partial<Parts>, RegExp]>([
    [
      'an unknown format',
      ref({ format: 5 }),
      new RegExp(`${named}: unknown weight format 5, expected 0 to 4`),
    ],
    ['a negative format', ref({ format: -1 }), new RegExp(`${named}: unknown weight format -1`)],
    ['a group of 33', ref({ group: 33 }), new RegExp(`${named}: filter scales are shared by 33 inputs`)],
    ['a negative group', ref({ group: -32 }), new RegExp(`${named}: filter scales are shared by -32 inputs`)],
    ['a unit of 0', ref({ unit: 0 }), new RegExp(`${named}: unit of the filter scales is 0`)],
    ['a unit of NaN', ref({ unit: Number.NaN }), new RegExp(`${named}: unit of the filter scales is NaN`)],
    ['an infinite unit', ref({ unit: Infinity }), new RegExp(`${named}: unit of the filter scales is inf`)],
    [
      'a level of 64',
      { levels: [0, 0, 64, 0] },
      new RegExp(`${named}: filter level 2 is 64, expected -63 to 63`),
    ],
    ['a level of -64', { levels: [-64] }, new RegExp(`${named}: filter level 0 is -64`)],
    ['a level of -128', { levels: [-128] }, new RegExp(`${named}: filter level 0 is -128`)],
    ['a fifth level of 2 bits', { levels: [1, 2, 3, 4, 5] }, new RegExp(`${named}: filter level 4 is 5`)],
    ['a scale of NaN', { scales: [ONE, 0x7e00] }, new RegExp(`${named}: filter scale 1 is nan`)],
    ['an infinite scale', { scales: [0x7c00, ONE] }, new RegExp(`${named}: filter scale 0 is inf`)],
    ['a scale of negative zero', { scales: [ONE, 0x8000] }, new RegExp(`${named}: filter scale 1 is -0,`)],
    ['a bias of NaN', { bias: [0, Number.NaN] }, new RegExp(`${named}: bias 1 is nan`)],
    ['an infinite bias', { bias: [-Infinity, 0] }, new RegExp(`${named}: bias 0 is -inf`)],
    [
      'weights past float32',
      { ...ref({ unit: 3e38 }), scales: [0x7bff, ONE] },
      new RegExp(`${named}: the weights of output channel 0 are too large`),
    ],
    [
      'sums past int32',
      { ...ref({ group: 0 }), inputs: 2 ** 20, outputs: 1, codes: Array(2 ** 18).fill(0), levels: [63] },
      new RegExp(`${named}: the sum of a group of 1048576 inputs could reach 8455716864 and overflow int32`),
    ],
    ['a short filter', { inputs: 400 }, new RegExp(`${named}: filter needs 200 bytes`)],
    [
      'a misaligned filter',
      ref({ filterOffset: 2 }),
      new RegExp(`${named}: filter needs 2 bytes at offset 2`),
    ],
    ['misaligned scales', ref({ scaleOffset: 2 }), new RegExp(`${named}: filter scales`)],
    [
      'missing scales',
      ref({ scaleOffset: 400 }),
      new RegExp(`${named}: filter scales needs 4 bytes at offset 400`),
    ],
    ['missing levels', ref({ levelsOffset: 400 }), new RegExp(`${named}: filter levels`)],
  ])('%s', (_, change, message) => {
    expectRefusal(() => compileParts(change), message);
  });

  test('weights cut off at any word', () => {
    const { weights } = weightsOf(PARTS);
    const compiled = compileParts({});
    for (let length = 0; length < weights.length; ++length) {
      const cut = weights.slice(0, length);
      expectRefusal(() => engine.compile(compiled.words, cut), /needs \d+ bytes/);
    }
    compiled.dispose();
  });

  const window: Window = { kernel: [1, 1], strides: [1, 1], padding: { mode: PaddingMode.Valid } };
  const conv =
    (change: Partial<Window>, groups = 1) =>
    (op: Op) =>
      ({
        ...op,
        kind: OpKind.Conv2D,
        inChannels: 4,
        outChannels: 2,
        groups,
        window: { ...window, ...change },
      }) as Op;

  test.each<[string, (op: Op) => Op, RegExp]>([
    ['a 3x3 convolution', conv({ kernel: [3, 3] }), /QuantizedConv2D.*format 1 are for 1x1 kernels.*3 x 3/],
    ['a dilated convolution', conv({ dilations: [1, 2] }), /QuantizedConv2D.*format 1 are for 1x1 kernels/],
    ['a grouped convolution', conv({}, 2), /QuantizedConv2D.*format 1 are for 1x1 kernels.*2 groups/],
    [
      'a depthwise convolution',
      (op) => ({ ...op, kind: OpKind.DepthwiseConv2D, channels: 2, multiplier: 1, window }) as unknown as Op,
      /QuantizedDepthwise.*takes no weights of format 1/,
    ],
    [
      'a transposed convolution',
      (op) =>
        ({
          ...op,
          kind: OpKind.TransposedConv2D,
          inChannels: 4,
          outChannels: 2,
          window,
          outputSize: [0, 0],
        }) as unknown as Op,
      /QuantizedConv2DTranspose.*takes no weights of format 1/,
    ],
  ])('%s with low-bit weights', (_, replace, message) => {
    expectRefusal(() => compileParts({}, replace), message);
  });
});
