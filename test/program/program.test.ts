// @needs engine
import { LowbitError } from '../../src/base/errors';
import {
  decodeProgram,
  encodeProgram,
  filterRowBytes,
  type Op,
  OpKind,
  PROGRAM_FORMAT_VERSION,
  TensorType,
  WEIGHT_BITS,
  WeightFormat,
} from '../../src/program/program';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { DYNAMIC_SERIES } from '../support/dynamic-series';
import { INT16_SERIES } from '../support/int16-series';
import { oldFormat } from '../support/old-format';
import { Random } from '../support/random';
import { everyIsa } from '../support/run-engine';
import { ALL_SERIES } from '../support/series';
import stored from './fixtures/format-4.json';

const SERIES = [...ALL_SERIES, ...DYNAMIC_SERIES, ...INT16_SERIES];

/** A program of every series, a few times. */
function* programs() {
  for (let i = 0; i < 5 * SERIES.length; i++) {
    const random = new Random(i + 1);
    const builder = new CaseBuilder(random.chance(0.5));
    builder.output(SERIES[i % SERIES.length]!.draw(new Drawer(builder, random), random));
    yield builder.build().program;
  }
}

test('words are the same after decoding and encoding', () => {
  const kinds = new Set<OpKind>();
  for (const program of programs()) {
    const words = encodeProgram(program);
    const decoded = decodeProgram(words);
    expect(encodeProgram(decoded)).toEqual(words);
    expect(decoded.ops.map(({ name }) => name)).toEqual(program.ops.map(({ name }) => name));
    for (const { kind } of program.ops) kinds.add(kind);
  }
  expect(kinds.size).toBeGreaterThan(30);
});

test('fields that are left out have their defaults, others keep their values', () => {
  const op: Op = {
    kind: OpKind.Conv2D,
    name: 'Grüße',
    inputs: [0],
    output: 1,
    filter: {
      format: WeightFormat.Codebook3,
      filterOffset: 4,
      scaleOffset: 8,
      levelsOffset: 12,
      group: 32,
      unit: 0.5,
    },
    inChannels: 3,
    outChannels: 5,
    groups: 1,
    window: { kernel: [1, 2], strides: [3, 4], padding: { mode: 0, left: 7 } },
    activation: { codeMax: 9, floatMin: -0 },
  };
  const spec = { shape: [-1], scale: 0.25, zeroPoint: -7 };
  const tensors = [
    { ...spec, type: TensorType.DynamicInt8, zeroPoint: 0, granularity: 2 },
    { ...spec, type: TensorType.Int8 },
  ];
  const program = { tensors, ops: [op], inputs: [0], outputs: [1] };
  expect(decodeProgram(encodeProgram(program))).toEqual({
    ...program,
    ops: [
      {
        ...op,
        window: {
          ...op.window,
          dilations: [1, 1],
          padding: { mode: 0, top: 0, bottom: 0, left: 7, right: 0 },
        },
        activation: {
          codeMin: -128,
          codeMax: 9,
          preScale: 1,
          preZeroPoint: 0,
          floatMin: -0,
          floatMax: Number.POSITIVE_INFINITY,
        },
      },
    ],
  });
});

test.each<[string, (words: Int32Array) => Int32Array, string]>([
  ['no program', (words) => words.with(0, 1), 'invalid-program'],
  ['a newer one', (words) => words.with(1, PROGRAM_FORMAT_VERSION + 1), 'unsupported-version'],
  [
    'an op of an unknown kind',
    (words) => words.with(words.indexOf(OpKind.Cast, 8 + 2), 99),
    'invalid-program',
  ],
  ['a negative count', (words) => words.with(3, -1), 'invalid-program'],
])('decoding refuses %s', (_, change, code) => {
  const [program] = programs();
  const words = encodeProgram({ ...program!, tensors: [] });
  expect(() => decodeProgram(change(words))).toThrow(expect.objectContaining({ code }));
});

test('decoding refuses a program cut off at any word', () => {
  const [program] = programs();
  const words = encodeProgram(program!);
  for (let length = 0; length < words.length; length++) {
    expect(() => decodeProgram(words.slice(0, length))).toThrow(LowbitError);
  }
});

describe('programs that format version 4 stored', () => {
  const bitsOf = (data: Float32Array | Int32Array) => [...new Int32Array(data.buffer)];

  test.each(stored.map((each) => [each.name, each] as const))('%s', (_, each) => {
    const words = Int32Array.from(each.program);
    expect(words[1]).toBe(4);
    const decoded = decodeProgram(words);
    const dynamic = decoded.tensors.filter(({ type }) => type === TensorType.DynamicInt8);
    expect(dynamic.map(({ granularity }) => granularity)).toEqual(each.granularities);
    expect(dynamic.every(({ zeroPoint }) => zeroPoint === 0)).toBe(true);
    const newer = encodeProgram(decoded);
    expect(oldFormat(newer, 4)).toEqual(words);

    const inputs = each.inputs.map(({ dtype, bits }) => {
      const data = Int32Array.from(bits);
      return dtype === 'float32' ? new Float32Array(data.buffer) : data;
    });
    for (const engine of everyIsa()) {
      for (const program of [words, newer]) {
        const compiled = engine.compile(program, Int32Array.from(each.weights));
        const outputs = each.outputs.map(({ length }) => new Int32Array(length));
        compiled.run(each.inputShapes, inputs, outputs);
        expect(outputs.map(bitsOf)).toEqual(each.outputs);
        compiled.dispose();
      }
    }
  });
});

test('an op that is newer than the version of its program is refused', () => {
  const { program, weights } = stored.find(({ name }) => name === 'Rotate')!;
  const compile = () =>
    createNodeEngine().compile(Int32Array.from(program).with(1, 1), Int32Array.from(weights));
  expect(compile).toThrow(/format version 1 and a Rotate, which came with version 2/);
});

test('a tensor whose codes are not dynamic has no granularity', () => {
  const [program] = programs();
  const tensors = program!.tensors.map((tensor) => ({ ...tensor, granularity: 1 }));
  const words = encodeProgram({ ...program!, tensors });
  expect(() => createNodeEngine().compile(words, new Int32Array(1))).toThrow(
    /granularity 1, expected 0 to 0/,
  );
});

test.each<[WeightFormat, number, number]>([
  [WeightFormat.Int8, 5, 5],
  [WeightFormat.Codebook2, 5, 2],
  [WeightFormat.Codebook3, 9, 6],
  [WeightFormat.Codebook4, 5, 3],
  [WeightFormat.Trellis2, 8, 2],
  [WeightFormat.Int16, 5, 10],
])('%i: a row of %i weights has %i bytes', (format, count, bytes) => {
  expect(filterRowBytes(format, count)).toBe(bytes);
  expect(8 * filterRowBytes(format, 24)).toBe(24 * WEIGHT_BITS[format]);
});
