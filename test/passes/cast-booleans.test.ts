// @needs engine
import { attr } from '../../src/graph/attrs';
import { castBooleans } from '../../src/passes/cast-booleans';
import { optimize } from '../../src/passes/pipeline';
import { expectSameFunction, FloatGraph, ops } from '../support/float-graph';
import { randomOf } from '../support/random';

const random = randomOf('booleans that are moved', 0);
const bool = { T: attr.dtype('bool') };

const SLICE = {
  ...bool,
  begin_mask: attr.int(0),
  end_mask: attr.int(0),
  ellipsis_mask: attr.int(0),
  new_axis_mask: attr.int(1),
  shrink_axis_mask: attr.int(0),
};

const inputs = () =>
  new FloatGraph(random)
    .input('x', [-1, 5, 5])
    .constant('zero', [], [0])
    .constant('half', [], [0.5])
    .node('positive', 'Greater', ['x', 'zero'])
    .node('large', 'Greater', ['x', 'half']);

const MOVES: [string, (graph: FloatGraph) => FloatGraph][] = [
  ['Select', (g) => g.node('moved', 'Select', ['large', 'positive', 'large'], bool)],
  ['SelectV2', (g) => g.node('moved', 'SelectV2', ['large', 'large', 'positive'], bool)],
  [
    'ReverseV2',
    (g) => g.constant('axes', [1], [1], 'int32').node('moved', 'ReverseV2', ['positive', 'axes'], bool),
  ],
  [
    'MatrixBandPart',
    (g) =>
      g
        .constant('all', [], [-1], 'int32')
        .constant('none', [], [0], 'int32')
        .node('moved', 'MatrixBandPart', ['positive', 'all', 'none'], bool),
  ],
  [
    'StridedSlice',
    (g) =>
      g
        .constant('begin', [3], [0, 0, 1], 'int32')
        .constant('end', [3], [0, 1, 4], 'int32')
        .constant('strides', [3], [1, 1, 2], 'int32')
        .node('moved', 'StridedSlice', ['positive', 'begin', 'end', 'strides'], SLICE),
  ],
];

test.each(MOVES)('%s of booleans is that of numbers', async (op, move) => {
  const graph = move(inputs())
    .node('numbers', 'Cast', ['moved'], { SrcT: attr.dtype('bool'), DstT: attr.dtype('float32') })
    .build('numbers');
  const { graph: rewritten } = castBooleans.apply(graph);
  expect(ops(rewritten).filter((each) => each === 'Cast').length).toBeGreaterThan(2);
  const moved = [...rewritten.nodes.values()].find((node) => node.op === op)!;
  expect(moved.attrs.T).not.toEqual(bool.T);
  await expectSameFunction(graph, rewritten, random);
  expect(castBooleans.apply(rewritten).changes).toEqual([]);
  expect(optimize(graph).graph.nodes.has('moved')).toBe(true);
});

test('numbers stay as they are', () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 5])
    .constant('zero', [], [0])
    .node('positive', 'Greater', ['x', 'zero'])
    .node('chosen', 'SelectV2', ['positive', 'x', 'zero'], { T: attr.dtype('float32') })
    .build('chosen');
  expect(castBooleans.apply(graph).changes).toEqual([]);
});
