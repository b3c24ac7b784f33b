// @needs engine
/** LinearFloat and Gather where a kernel changes its path, and on weights and indices that nobody should trust. */
import type { LowbitErrorCode } from '../../src/base/errors';
import {
  encodeProgram,
  type FilterRef,
  type Op,
  OpKind,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from '../../src/program/program';
import { CaseBuilder, FLOAT32 } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { forEachCase } from '../support/random';
import { everyIsa, expectReference } from '../support/run-engine';

const engines = everyIsa();
const engine = engines.at(-1)!;

test.each([
  [1, 511, 9],
  [1, 512, 8],
  [2, 513, 7],
  [31, 33, 17],
  [32, 96, 16],
  [33, 1030, 3],
  [65, 40, 1],
])('LinearFloat of %d rows, %d inputs and %d outputs', async (rows, inputs, outputs) => {
  await forEachCase(`real weights ${rows} ${inputs} ${outputs}`, 6, (random) => {
    const builder = new CaseBuilder();
    const drawer = new Drawer(builder, random);
    builder.output(drawer.linearFloat(drawer.floats([rows, inputs], { odd: random.chance(0.3) }), outputs));
    expectReference(builder.build(), engines, [1, 2, 3]);
  });
});

test('rows of every depth from 1 to 70 are gathered', async () => {
  await forEachCase('gathered depths', 70, (random, index) => {
    const builder = new CaseBuilder();
    builder.output(new Drawer(builder, random).gather([3], 5, index + 1));
    expectReference(builder.build(), engines);
  });
});

test('an index may come twice, in any order, and the first and the last row are there', () => {
  const builder = new CaseBuilder();
  const filter = int8Filter(builder.weights);
  const indices = builder.integers([2, 3], Int32Array.of(1, 0, 1, 1, 0, 0));
  builder.output(
    builder.apply({ kind: OpKind.Gather, inputs: [indices], filter, rows: 2, depth: 3 }, FLOAT32),
  );
  expect(builder.build().expected[0]).toEqual([-4, 5, -6, 1, 2, 3, -4, 5, -6, -4, 5, -6, 1, 2, 3, 1, 2, 3]);
  expectReference(builder.build(), engines);
});

test('a clamp leaves NaN alone', () => {
  const { weights, filter } = parts();
  for (const each of engines) {
    const compiled = compile(linear(filter), TensorType.Float32, weights, each);
    const out = new Float32Array(4);
    compiled.run([[2, 3]], [Float32Array.of(Number.NaN, 1, 1, 0, -9, 0)], [out]);
    expect(Array.from(out)).toEqual([Number.NaN, Number.NaN, 0, 0]);
    compiled.dispose();
  }
});

/** Rows [1, 2, 3] and [-4, 5, -6], at scale 1. */
function int8Filter(weights: WeightsBuilder, change: Partial<Record<'weight' | 'scale', number>> = {}) {
  return {
    filterOffset: weights.append(Int8Array.of(1, 2, 3, change.weight ?? -4, 5, -6)),
    scaleOffset: weights.append(Float32Array.of(1, change.scale ?? 1)),
    format: WeightFormat.Int8,
  } as const;
}

function parts(change: Partial<Record<'weight' | 'scale' | 'bias', number>> = {}) {
  const weights = new WeightsBuilder();
  const filter = int8Filter(weights, change);
  const biasOffset = weights.append(Float32Array.of(0, change.bias ?? 0));
  return { weights: weights.build(), filter: { ...filter, biasOffset } };
}

const linear = (filter: FilterRef, change: object = {}) =>
  ({
    kind: OpKind.LinearFloat,
    name: 'dense',
    inputs: [0],
    output: 1,
    filter,
    inFeatures: 3,
    outFeatures: 2,
    activation: { floatMin: 0 },
    ...change,
  }) as Op;

const gather = (filter: FilterRef, change: object = {}) =>
  ({
    kind: OpKind.Gather,
    name: 'embedding',
    inputs: [0],
    output: 1,
    filter: { ...filter, biasOffset: undefined },
    rows: 2,
    depth: 3,
    ...change,
  }) as Op;

function compile(op: Op, input: TensorType, weights: Int32Array, on = engine) {
  const shape = op.kind === OpKind.Gather ? [-1] : [-1, -1];
  const tensor = { scale: 1, zeroPoint: 0 };
  const program = {
    tensors: [
      { ...tensor, type: input, shape },
      { ...tensor, type: TensorType.Float32, shape: [-1, -1] },
    ],
    ops: [op],
    inputs: [0],
    outputs: [1],
  };
  return on.compile(encodeProgram(program), weights);
}

function expectRefusal(call: () => unknown, code: LowbitErrorCode, message: RegExp): void {
  expect(call).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
}

describe('compile refuses', () => {
  const real = TensorType.Float32;
  const integer = TensorType.Int32;
  const { weights, filter } = parts();
  const trellis = { ...filter, format: WeightFormat.Trellis2, levelsOffset: 0, group: 33, unit: 1 } as const;

  test.each<[string, () => unknown, RegExp]>([
    ['integers to multiply', () => compile(linear(filter), integer, weights), /LinearFloat 'dense'.*float32/],
    ['floats as indices', () => compile(gather(filter), real, weights), /Gather 'embedding'.*int32/],
    [
      'more outputs than weights',
      () => compile(linear(filter, { outFeatures: 9 }), real, weights),
      /'dense': filter needs 27 bytes/,
    ],
    ['no inputs', () => compile(linear(filter, { inFeatures: 0 }), real, weights), /input features is 0/],
    [
      '2^31 - 1 rows',
      () => compile(gather(filter, { rows: 2 ** 31 - 1 }), integer, weights),
      /rows is 2147483647/,
    ],
    ['rows of nothing', () => compile(gather(filter, { depth: -1 }), integer, weights), /depth is -1/],
    [
      'a bias of rows to gather',
      () => compile(gather(filter, { filter }), integer, weights),
      /takes no bias/,
    ],
    [
      'a table for floats',
      () => compile(linear(filter, { activation: { tableOffset: 0 } }), real, new Int32Array(64)),
      /takes no activation table/,
    ],
    ['a group of 33', () => compile(linear(trellis), real, weights), /shared by 33 inputs/],
    [
      'a weight of -128',
      () => compile(linear(filter), real, parts({ weight: -128 }).weights),
      /weight of -128/,
    ],
    [
      'a scale of 0',
      () => compile(gather(filter), integer, parts({ scale: 0 }).weights),
      /filter scale 1 is 0/,
    ],
    [
      'a bias of NaN',
      () => compile(linear(filter), real, parts({ bias: Number.NaN }).weights),
      /bias 1 is nan/,
    ],
  ])('%s', (_, call, message) => {
    expectRefusal(call, 'invalid-program', message);
  });
});

test('other rows than the weights have are refused when shapes are known', () => {
  const { weights, filter } = parts();
  const compiled = compile(linear(filter), TensorType.Float32, weights);
  expectRefusal(
    () => compiled.outputShapes([[2, 4]]),
    'invalid-shape',
    /'dense': input has shape \[2, 4\], expected 3 elements/,
  );
  compiled.dispose();
});

test.each([-1, 2, 2 ** 31 - 1, -(2 ** 31)])(
  'index %d is refused by name, and the next call works',
  (index) => {
    const { weights, filter } = parts();
    for (const each of engines) {
      const compiled = compile(gather(filter), TensorType.Int32, weights, each);
      const out = new Float32Array(9);
      expectRefusal(
        () => compiled.run([[3]], [Int32Array.of(0, index, 1)], [out]),
        'invalid-argument',
        new RegExp(`Gather 'embedding': index ${index} at position 1, expected 0 to 1`),
      );
      compiled.run([[3]], [Int32Array.of(0, 1, 1)], [out]);
      expect(Array.from(out)).toEqual([1, 2, 3, -4, 5, -6, -4, 5, -6]);
      compiled.dispose();
    }
  },
);
