import { attr } from '../../../src/graph/attrs';
import { inferShapes } from '../../../src/graph/infer-shapes';
import { findWeighted, weightsOf } from '../../../src/passes/weight-only/find';
import { FloatGraph, windowAttrs } from '../../support/float-graph';
import { randomOf } from '../../support/random';

const random = randomOf('weight-only/find', 0);

function find(build: (graph: FloatGraph) => FloatGraph, ...outputs: string[]) {
  const graph = build(new FloatGraph(random)).build(...outputs);
  return findWeighted(graph, inferShapes(graph));
}

test('finds products, 1x1 convolutions and tables, with the shapes of their inputs', () => {
  const found = find(
    (g) =>
      g
        .input('x', [-1, 7, 8])
        .input('image', [-1, 5, 5, 8])
        .weights('w', [8, 3])
        .weights('filter', [1, 1, 8, 6])
        .weights('embeddings', [10, 4])
        .constant('indices', [2], [1, 7], 'int32')
        .constant('axis', [], [0], 'int32')
        .node('product', 'BatchMatMulV2', ['x', 'w'])
        .node('conv', 'Conv2D', ['image', 'filter'], windowAttrs())
        .node('rows', 'GatherV2', ['embeddings', 'indices', 'axis']),
    'product',
    'conv',
    'rows',
  );
  expect(found.get('product')).toMatchObject({
    kind: 'product',
    inputShape: [-1, 7, 8],
    op: { channels: 3 },
  });
  expect(found.get('conv')).toMatchObject({
    kind: 'product',
    inputShape: [-1, 5, 5, 8],
    op: { channels: 6 },
  });
  expect(found.get('rows')).toMatchObject({ kind: 'table', indicesShape: [2] });
  const shapes = [...found.values()].map((each) => (typeof each === 'string' ? each : weightsOf(each).shape));
  expect(shapes).toEqual(
    expect.arrayContaining([
      [8, 3],
      [1, 1, 8, 6],
      [10, 4],
    ]),
  );
});

test('says why other weights stay as they are', () => {
  const found = find(
    (g) =>
      g
        .input('image', [-1, 5, 5, 8])
        .input('x', [-1, 7, 8])
        .weights('wide', [3, 3, 8, 6])
        .weights('pixel', [1, 1, 8, 6])
        .weights('depthwise', [3, 3, 8, 1])
        .weights('many', [1, 8, 3])
        .weights('w', [7, 3])
        .node('window', 'Conv2D', ['image', 'wide'], windowAttrs())
        .node('strided', 'Conv2D', ['image', 'pixel'], windowAttrs({ strides: 2 }))
        .node('channels', 'DepthwiseConv2dNative', ['image', 'depthwise'], windowAttrs())
        .node('batch', 'BatchMatMulV2', ['x', 'many'])
        .node('turned', 'BatchMatMulV2', ['x', 'w'], { adj_x: attr.bool(true) }),
    'window',
    'strided',
    'channels',
    'batch',
    'turned',
  );
  expect(Object.fromEntries(found)).toEqual({
    window: 'its window is 3x3: convolutions stay float',
    strided: 'it is a convolution with strides',
    channels: 'it is a depthwise convolution',
    batch: 'it has weights for every matrix of a batch',
    turned: 'its input is transposed',
  });
});

test('looks through identities for the weights', () => {
  const found = find(
    (g) =>
      g
        .input('x', [2, 8])
        .weights('w', [8, 3])
        .node('same', 'Identity', ['w'])
        .node('y', 'MatMul', ['x', 'same']),
    'y',
  );
  expect(found.get('y')).toMatchObject({ kind: 'product', op: { filterName: 'w' } });
});
