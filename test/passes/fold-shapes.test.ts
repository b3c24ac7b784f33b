// @needs engine
import { attr } from '../../src/graph/attrs';
import { sliceAttrs } from '../../src/graph/strided-slice';
import { foldShapes } from '../../src/passes/fold-shapes';
import { removeDeadNodes } from '../../src/passes/remove-dead-nodes';
import { expectSameFunction, FloatGraph, ops } from '../support/float-graph';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const T = { T: attr.dtype('float32') };
const INT = { T: attr.dtype('int32') };
const FIRST = {
  ...INT,
  ...sliceAttrs({ shrink: 1 }),
};
const PRODUCT = { ...T, transpose_a: attr.bool(false), transpose_b: attr.bool(false) };

/** A tensor, and a sum with zeros of its batch, made by `of`. */
function withBatchOf(of: (graph: FloatGraph) => string): FloatGraph {
  const graph = new FloatGraph(random)
    .input('x', [-1, 4, 6])
    .constant('0', [1], [0], 'int32')
    .constant('1', [1], [1], 'int32')
    .constant('six', [], [6], 'int32')
    .constant('zero', [], [0])
    .constant('rows', [2], [-1, 6], 'int32')
    .constant('back', [3], [-1, 4, 6], 'int32')
    .weights('w', [6, 6]);
  const measured = of(graph);
  return graph
    .node('shape', 'Shape', [measured], { ...T, out_type: attr.dtype('int32') })
    .node('batch', 'StridedSlice', ['shape', '0', '1', '1'], FIRST)
    .node('sizes', 'Pack', ['batch', 'six'], { ...INT, N: attr.int(2), axis: attr.int(0) })
    .node('zeros', 'Fill', ['sizes', 'zero'], T)
    .constant('axis', [], [1], 'int32')
    .node('wide', 'ExpandDims', ['zeros', 'axis'], T)
    .node('sum', 'AddV2', ['x', 'wide'], T);
}

/** The product of all rows, back in its shape. */
function product(graph: FloatGraph): string {
  graph
    .node('flat', 'Reshape', ['x', 'rows'], { ...T, Tshape: attr.dtype('int32') })
    .node('product', 'MatMul', ['flat', 'w'], PRODUCT)
    .node('turned', 'Reshape', ['product', 'back'], { ...T, Tshape: attr.dtype('int32') })
    .node('tanh', 'Tanh', ['turned'], T);
  return 'tanh';
}

test('the batch of a computed tensor is read of the input', async () => {
  const graph = withBatchOf(product).build('sum');
  const { graph: folded, changes } = foldShapes.apply(graph);
  expect(changes.map(({ detail }) => detail)).toEqual(["the batch of 'tanh' is that of the input 'x'"]);
  const { graph: alive } = removeDeadNodes.apply(folded);
  expect(ops(alive)).not.toContain('MatMul');
  await expectSameFunction(graph, alive, random);
});

test('rows that are several a sample are not the batch', () => {
  const graph = withBatchOf((g) => {
    product(g);
    return 'product';
  }).build('sum');
  expect(foldShapes.apply(graph).changes).toEqual([]);
});

test('what may be broadcast is not the batch', () => {
  const graph = withBatchOf((g) => {
    g.input('y', [-1, 4, 6]).node('added', 'AddV2', ['x', 'y'], T);
    return 'added';
  }).build('sum');
  expect(foldShapes.apply(graph).changes).toEqual([]);
});

test.each<[string, (graph: FloatGraph) => FloatGraph]>([
  [
    'a concatenation along the first axis, counted from the end',
    (g) =>
      g.constant('from_end', [], [-3], 'int32').node('other', 'ConcatV2', ['x', 'x', 'from_end'], {
        ...T,
        N: attr.int(2),
        Tidx: attr.dtype('int32'),
      }),
  ],
  [
    'what is left when a batch of one is squeezed away',
    (g) =>
      g
        .input('pages', [-1, -1, 4, 6])
        .node('other', 'Squeeze', ['pages'], { ...T, squeeze_dims: attr.ints([0]) }),
  ],
])('%s is not the batch', (_, build) => {
  const graph = withBatchOf((g) => {
    build(g);
    return 'other';
  }).build('sum');
  expect(foldShapes.apply(graph).changes).toEqual([]);
});

test('a reshape to computed sizes of which one is open gets them as a constant, and known sizes are folded', async () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 4, 6])
    .constant('every', [2], [0, 1], 'int32')
    .constant('last', [1], [24], 'int32')
    .constant('first', [1], [0], 'int32')
    .constant('axis', [], [0], 'int32')
    .node('shape', 'Shape', ['x'], { ...T, out_type: attr.dtype('int32') })
    .node('batch', 'GatherV2', ['shape', 'first', 'axis'], {
      Tparams: attr.dtype('int32'),
      Tindices: attr.dtype('int32'),
      Taxis: attr.dtype('int32'),
    })
    .node('sizes', 'ConcatV2', ['batch', 'last', 'axis'], {
      ...INT,
      N: attr.int(2),
      Tidx: attr.dtype('int32'),
    })
    .node('flat', 'Reshape', ['x', 'sizes'], { ...T, Tshape: attr.dtype('int32') })
    .build('flat');
  // An output keeps its reshape; what it reads is a constant then.
  const { graph: alive } = removeDeadNodes.apply(foldShapes.apply(graph).graph);
  expect(ops(alive)).toEqual(['Reshape']);
  await expectSameFunction(graph, alive, random);
});

test('sizes of loops are left alone', () => {
  const graph = withBatchOf(product)
    .node('enter', 'Enter', ['x'], { frame_name: attr.string('loop') })
    .build('sum', 'enter');
  expect(foldShapes.apply(graph).changes).toEqual([]);
});
