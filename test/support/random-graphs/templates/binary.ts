/** Functions of two tensors. */
import { attr } from '../../../../src/graph/attrs';
import type { Drawing, Drawn } from '../drawing';
import { asFloat, BOOL, condition, each, fixed, positive, same, shapeOf, type Table } from './template';

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

export const BINARY: Table = {
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
