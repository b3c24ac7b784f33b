/** What networks make of several ops. */
import { attr } from '../../../../src/graph/attrs';
import { T } from '../drawing';
import { fanIn, fixed, shapeOf, type Table } from './template';

export const PATTERNS: Table = {
  linear: (d) => {
    const from = d.any(({ shapes }) => shapes[0].length >= 3);
    const depth = shapeOf(from).at(-1)!;
    return d.add('BatchMatMulV2', [from, d.weights([depth, d.random.int(1, 8)], fanIn(depth))], {
      adj_x: attr.bool(false),
      adj_y: attr.bool(false),
    });
  },
  hardSwish: async (d) => {
    const x = d.any();
    const clipped = await d.one('Relu6', [await d.one('AddV2', [x, d.scalar(3)])]);
    return d.random.chance(0.5)
      ? d.add('Mul', [await d.one('Mul', [x, clipped]), d.scalar(1 / 6)])
      : d.add('Mul', [x, await d.one('RealDiv', [clipped, d.scalar(6)])]);
  },
  swish: async (d) => {
    const x = d.any();
    return d.add('Mul', [x, await d.one('Sigmoid', [x])]);
  },
  mish: async (d) => {
    const x = d.any();
    return d.add('Mul', [x, await d.one('Tanh', [await d.one('Softplus', [x])])]);
  },
  gelu: async (d) => {
    const x = d.any();
    const inner = await d.one('Erf', [await d.one('Mul', [x, d.scalar(Math.SQRT1_2)])]);
    return d.add('Mul', [await d.one('Mul', [x, d.scalar(0.5)]), await d.one('AddV2', [inner, d.scalar(1)])]);
  },
  attention: async (d) => {
    const x = d.ofRank(3);
    const depth = shapeOf(x)[2];
    const project = () =>
      d.one('BatchMatMulV2', [x, d.weights([depth, 4], fanIn(depth))], {
        adj_x: attr.bool(false),
        adj_y: attr.bool(false),
      });
    const [q, k, v] = [await project(), await project(), await project()];
    let scores = await d.one('BatchMatMulV2', [q, k], { adj_x: attr.bool(false), adj_y: attr.bool(true) });
    scores = await d.one('Mul', [scores, d.scalar(0.5)]);
    const size = shapeOf(x)[1];
    const rows = Array.from({ length: size * size }, (_, i) => (i % size > Math.floor(i / size) ? -1e9 : 0));
    const name = d.name();
    const softened = d.name();
    const specs = d.random.chance(0.5)
      ? [
          { name, op: 'AddV2', inputs: [scores.name, d.constant([1, size, size], rows)], attrs: T },
          { name: softened, op: 'Softmax', inputs: [name], attrs: T },
        ]
      : [{ name: softened, op: 'Softmax', inputs: [scores.name], attrs: T }];
    const [weights] = await d.group(specs, [softened]);
    return d.add('BatchMatMulV2', [weights, v], { adj_x: attr.bool(false), adj_y: attr.bool(false) });
  },
  layerNormalization: async (d) => {
    const x = d.any(({ shapes }) => shapes[0].length >= 2);
    const axis = () => d.ints([shapeOf(x).length - 1]);
    const keep = { keep_dims: attr.bool(true) };
    const mean = await d.one('Mean', [x, axis()], keep);
    const variance = await d.one('Mean', [await d.one('SquaredDifference', [x, mean]), axis()], keep);
    const inverse = await d.one('Rsqrt', [await d.one('AddV2', [variance, d.scalar(0.01)])]);
    const channels = shapeOf(x).at(-1)!;
    const scale = await d.one('Mul', [inverse, d.weights([channels], 0.5, 1.5)]);
    return d.add('AddV2', [
      await d.one('Mul', [x, scale]),
      await d.one('Sub', [d.weights([channels], 0.5), await d.one('Mul', [mean, scale])]),
    ]);
  },
  squeezeExcite: async (d) => {
    const x = d.ofRank(4);
    const channels = shapeOf(x)[3];
    const pooled = await d.one('Mean', [x, d.ints([1, 2])], { keep_dims: attr.bool(true) });
    const attrs = {
      strides: attr.ints([1, 1, 1, 1]),
      dilations: attr.ints([1, 1, 1, 1]),
      padding: attr.string('SAME'),
      data_format: attr.string('NHWC'),
    };
    const gate = await d.one(
      'Conv2D',
      [pooled, d.weights([1, 1, channels, channels], fanIn(channels))],
      attrs,
    );
    return d.add('Mul', [x, await d.one('Sigmoid', [gate])]);
  },
  splitOfSplit: async (d) => {
    const from = d.any(
      (tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, -1) && shapeOf(tensor).at(-1)! % 4 === 0,
    );
    const axis = d.ints([shapeOf(from).length - 1], []);
    const halves = await d.add('Split', [axis, from], { num_split: attr.int(2) }, 2);
    return d.add('Split', [axis, d.random.pick(halves)], { num_split: attr.int(2) }, 2);
  },
};
