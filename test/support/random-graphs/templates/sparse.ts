/** Sparse tensors, strings and boxes. */
import { attr } from '../../../../src/graph/attrs';
import type { RawAttr } from '../../../../src/graph/ir';
import { elements, T } from '../drawing';
import { each, shapeOf, type Table } from './template';

export const SPARSE: Table = {
  SparseReshape: (d) => {
    const [sparse, real] = [d.name(), d.name()];
    const indices = d.ints([0, 0, 0, 1, 1, 0], [3, 2]);
    return d.group(
      [
        { name: sparse, op: 'SparseReshape', inputs: [indices, d.ints([2, 3]), d.ints([3, -1])] },
        {
          name: real,
          op: 'Cast',
          inputs: [sparse],
          attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
        },
      ],
      [real],
    );
  },
  SparseFillEmptyRows: (d) => {
    const name = d.name();
    const inputs = [d.ints([0, 0, 2, 1], [2, 2]), d.constant([2], [0.5, -0.5]), d.ints([4, 3]), d.scalar(1)];
    return d.group([{ name, op: 'SparseFillEmptyRows', inputs, attrs: T }], [`${name}:1`]);
  },
  ...each('SparseSegmentMean SparseSegmentSum', (op) => (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 2 && shapes.every((shape) => shape[0] >= 1));
    return d.add(op, [from, d.ints([0, 0, 0]), d.ints([0, 0, 1])]);
  }),
  ...each('StaticRegexReplace StringToHashBucketFast', () => async (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 1);
    const [replaced, bucket, real] = [d.name(), d.name(), d.name()];
    const [hashed] = await d.group(
      [
        {
          name: replaced,
          op: 'StaticRegexReplace',
          inputs: [d.strings(['some text'])],
          attrs: { pattern: attr.string('s'), rewrite: attr.string('z'), replace_global: attr.bool(true) },
        },
        {
          name: bucket,
          op: 'StringToHashBucketFast',
          inputs: [replaced],
          attrs: { num_buckets: attr.int(3) },
        },
        {
          name: real,
          op: 'Cast',
          inputs: [bucket],
          attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
        },
      ],
      [real],
    );
    return d.add('AddV2', [from, hashed]);
  }),
  ...each(
    'NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5',
    (op) => async (d) => {
      const version = Number(op.at(-1));
      const from = d.any(
        (tensor) => shapeOf(tensor).length >= 1 && tensor.shapes.every((s) => elements(s) >= 4),
      );
      const flat = await d.one('Reshape', [from, d.ints([-1])]);
      const scores = await d.one('Sigmoid', [await d.one('Slice', [flat, d.ints([0]), d.ints([4])])]);
      const boxes = d.constant([4, 4], [0, 0, 1, 1, 0, 0, 0.9, 1, 0.5, 0.5, 1, 1, 0, 0.6, 0.4, 1]);
      const given = [boxes, scores, d.ints([3], []), d.scalar(0.5)];
      const more = version === 2 ? [] : version === 5 ? [d.scalar(0.1), d.scalar(0)] : [d.scalar(0.1)];
      const attrs: Record<string, RawAttr> = version === 4 ? { pad_to_max_output_size: attr.bool(true) } : {};
      const [kept] = await d.add(op, [...given, ...more], attrs, version === 2 || version === 3 ? 1 : 2);
      return d.add('GatherV2', [boxes, kept, d.ints([0], [])], { Tparams: attr.dtype('float32') });
    },
  ),
};
