/** What the templates of random graphs have in common. */
import { attr } from '../../../../src/graph/attrs';
import type { Drawing, Drawn } from '../drawing';

export type Template = (d: Drawing) => Promise<unknown>;

export type Table = Readonly<Record<string, Template>>;

export const DT = { dtype: attr.dtype('float32') };
export const INT = { T: attr.dtype('int32') };
export const BOOL = { T: attr.dtype('bool') };

export const each = (ops: string, template: (op: string) => Template): Table =>
  Object.fromEntries(ops.split(' ').map((op) => [op, template(op)]));

export const shapeOf = ({ shapes }: Drawn) => shapes[0];

export const same = (a: Drawn, b: Drawn) => a.shapes.every((shape, i) => shape.join() === b.shapes[i].join());

/** Whether an axis has the same size in every sample. */
export const fixed = ({ shapes }: Drawn, axis: number) =>
  shapes.every((shape) => shape.at(axis) === shapes[0].at(axis));

/** An axis as counted from either end. */
export const written = (d: Drawing, axis: number, rank: number) =>
  d.random.chance(0.5) ? axis : axis - rank;

/** An axis that is not the batch, in a tensor that has one. */
export function innerAxis(d: Drawing, from: Drawn): number {
  const rank = shapeOf(from).length;
  d.need(rank >= 2);
  return d.random.int(1, rank - 1);
}

/** Positive, and not near zero. */
export const positive = async (d: Drawing, x: Drawn) =>
  d.one('AddV2', [await d.one('Abs', [x]), d.scalar(0.5)]);

/** Numbers 0 or 1 of a bool. */
export const asFloat = (d: Drawing, x: Drawn) =>
  d.one('Cast', [x], { SrcT: attr.dtype(x.dtype), DstT: attr.dtype('float32') });

/** Where values are positive. */
export const condition = (d: Drawing, x: Drawn) => d.one('Greater', [x, d.scalar(0)]);

export const FUSED = [
  ['BiasAdd'],
  ['BiasAdd', 'Relu'],
  ['BiasAdd', 'Relu6'],
  ['BiasAdd', 'Elu'],
  ['BiasAdd', 'LeakyRelu'],
  ['BiasAdd', 'Sigmoid'],
];

export const fanIn = (count: number) => 1.7 / Math.sqrt(count);

export const shapeVector = (d: Drawing, from: Drawn) =>
  d.one('Shape', [from], { out_type: attr.dtype('int32') });

/** A size of one axis at run time, in one of the ways in which graphs read it. */
export async function sizeOfAxis(d: Drawing, from: Drawn, axis: number): Promise<Drawn> {
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

export const batchOf = (d: Drawing, from: Drawn) => sizeOfAxis(d, from, 0);

export const masks = ({ begin = 0, end = 0, shrink = 0, ellipsis = 0, fresh = 0 }) => ({
  begin_mask: attr.int(begin),
  end_mask: attr.int(end),
  shrink_axis_mask: attr.int(shrink),
  ellipsis_mask: attr.int(ellipsis),
  new_axis_mask: attr.int(fresh),
});
