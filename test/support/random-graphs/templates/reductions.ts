/** Reductions over axes. */
import { attr } from '../../../../src/graph/attrs';
import type { Drawing, Drawn } from '../drawing';
import { asFloat, condition, each, shapeOf, type Table } from './template';

function axesOf(d: Drawing, from: Drawn): number[] {
  const rank = shapeOf(from).length;
  d.need(rank >= 1);
  if (rank === 4 && d.random.chance(0.6)) return d.random.pick([[1, 2], [2, 1], [-3, -2], [-1]]);
  return [d.random.pick([-1, rank - 1, d.random.int(0, rank - 1)])];
}

export const REDUCTIONS: Table = {
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
