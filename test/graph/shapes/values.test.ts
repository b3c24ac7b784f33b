/** Shapes that models compute from shapes. */
import { attr } from '../../../src/graph/attrs';
import { inferShapes } from '../../../src/graph/infer-shapes';
import { FloatGraph, windowAttrs } from '../../support/float-graph';
import { randomOf } from '../../support/random';
import { expectInferredShapes } from '../../support/shapes';

const random = randomOf('shape values', 0);
const int = { T: attr.dtype('int32') };

const slice = (masks: Record<string, number> = {}) =>
  Object.fromEntries(
    ['begin', 'end', 'shrink_axis', 'new_axis', 'ellipsis'].map((name) => [
      `${name}_mask`,
      attr.int(masks[name] ?? 0),
    ]),
  );

function ints(graph: FloatGraph, constants: Record<string, number | number[]>): FloatGraph {
  for (const [name, value] of Object.entries(constants)) {
    graph.constant(name, Array.isArray(value) ? [value.length] : [], [value].flat(), 'int32');
  }
  return graph;
}

/** As tf.keras exports a Dense layer on [batch, n, c]. */
test('a dense layer over the last of three axes of an open batch', async () => {
  const graph = ints(new FloatGraph(random).input('x', [-1, 5, 3]), {
    zero: 0,
    free: [0, 1],
    axes: [2],
    all: [0],
    units: [6],
    none: [0],
  })
    .weights('kernel', [3, 6])
    .node('shape', 'Shape', ['x'], { out_type: attr.dtype('int32') })
    .node('free/sizes', 'GatherV2', ['shape', 'free', 'zero'])
    .node('axes/sizes', 'GatherV2', ['shape', 'axes', 'zero'])
    .node('rows', 'Prod', ['free/sizes', 'all'], { ...int, keep_dims: { b: false } })
    .node('columns', 'Prod', ['axes/sizes', 'all'], { ...int, keep_dims: { b: false } })
    .node('target', 'Pack', ['rows', 'columns'], { axis: attr.int(0) })
    .node('flat', 'Reshape', ['x', 'target'])
    .node('product', 'MatMul', ['flat', 'kernel'], { transpose_a: { b: false }, transpose_b: { b: false } })
    .node('back', 'ConcatV2', ['free/sizes', 'units', 'zero'], { N: attr.int(2) })
    .node('y', 'Reshape', ['product', 'back'])
    .build('y');
  const shapes = await expectInferredShapes(graph, random);
  expect(shapes.get('y:0')).toEqual([-1, 5, 6]);
});

test('a transposed convolution whose size is computed from its input', async () => {
  const graph = ints(new FloatGraph(random).input('x', [-1, 5, 4, 3]), {
    zero: [0],
    one: [1],
    two: [2],
    three: [3],
    step: 2,
    channels: 6,
    more: 1,
  })
    .weights('kernel', [3, 3, 6, 3])
    .node('shape', 'Shape', ['x'], { out_type: attr.dtype('int32') })
    .node('batch', 'StridedSlice', ['shape', 'zero', 'one', 'one'], slice({ shrink_axis: 1 }))
    .node('height', 'StridedSlice', ['shape', 'one', 'two', 'one'], slice({ shrink_axis: 1 }))
    .node('width', 'StridedSlice', ['shape', 'two', 'three', 'one'], slice({ shrink_axis: 1 }))
    .node('height/2', 'Mul', ['height', 'step'], int)
    .node('height/3', 'AddV2', ['height/2', 'more'], int)
    .node('width/2', 'Mul', ['width', 'step'], int)
    .node('width/3', 'Sub', ['width/2', 'zero'], int)
    .node('width/4', 'Squeeze', ['width/3'], { squeeze_dims: attr.ints([0]) })
    .node('size', 'Pack', ['batch', 'height/3', 'width/4', 'channels'], { axis: attr.int(0) })
    .node('y', 'Conv2DBackpropInput', ['size', 'kernel', 'x'], windowAttrs({ strides: 2, padding: 'VALID' }))
    .build('y');
  // TF.js takes the size as it is given, whatever fits.
  expect(inferShapes(graph).get('y:0')).toEqual([-1, 11, 8, 6]);
  await expectInferredShapes(graph, random);
});

test('strides, negative positions and new axes of slices of shapes', async () => {
  const graph = ints(new FloatGraph(random).input('x', [-1, 6, 4, 2]), {
    three: [3],
    zero: [0],
    back: [-1],
    one: [1],
    minus: [-1],
    last: [-2],
    two: [2],
    end: [4],
    axis: 0,
    top: 0,
  })
    .node('shape', 'Shape', ['x'], { out_type: attr.dtype('int32') })
    // [2, 4, 6]: backwards, without the batch
    .node('reversed', 'StridedSlice', ['shape', 'three', 'zero', 'minus'], slice())
    .node('ones', 'Fill', ['reversed', 'axis/real'])
    // every second: [batch, 4]
    .node('second', 'StridedSlice', ['shape', 'zero', 'end', 'two'], slice())
    .node('tiles', 'Fill', ['second', 'axis/real'])
    // the last but one, as a scalar
    .node('width', 'StridedSlice', ['shape', 'last', 'minus', 'one'], slice({ shrink_axis: 1 }))
    .node('row', 'StridedSlice', ['shape', 'top', 'top', 'top/step'], slice())
    .constant('axis/real', [], [1])
    .constant('top/step', [], [1], 'int32');
  graph.node('row', 'StridedSlice', ['shape', 'zero', 'zero', 'one'], slice({ new_axis: 1 }));
  graph.node('row/tiles', 'Tile', ['x', 'twice']).constant('twice', [4], [1, 2, 1, 3], 'int32');
  const built = graph.build('ones', 'tiles', 'width', 'row', 'row/tiles');
  const shapes = await expectInferredShapes(built, random);
  expect(shapes.get('ones:0')).toEqual([2, 4, 6]);
  expect(shapes.get('tiles:0')).toEqual([-1, 4]);
  expect(shapes.get('row:0')).toEqual([1, 4]);
});

test('GatherNd, Cast, Range, Fill, Split and Unpack of shapes', async () => {
  const graph = ints(new FloatGraph(random).input('x', [-1, 6, 4, 2]), { zero: 0, one: 1, two: 2 })
    .constant('places', [2, 1], [2, 1], 'int32')
    .constant('half', [], [0.5])
    .node('shape', 'Shape', ['x'], { out_type: attr.dtype('int32') })
    .node('sizes', 'GatherNd', ['shape', 'places'])
    .node('real', 'Cast', ['sizes'], { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') })
    .node('halves', 'Mul', ['real', 'half'])
    .node('small', 'Cast', ['halves'], { SrcT: attr.dtype('float32'), DstT: attr.dtype('int32') })
    .node('resized', 'ResizeBilinear', ['x', 'small'], {
      align_corners: { b: false },
      half_pixel_centers: { b: false },
    })
    .node('parts', 'Unpack', ['shape'], { num: attr.int(4), axis: attr.int(0) })
    .node('count', 'FloorDiv', ['parts:1', 'two'], int)
    .node('range', 'Range', ['zero', 'count', 'one'])
    .node('target', 'Pack', ['parts', 'count', 'two', 'parts:2', 'parts:3'], { axis: attr.int(0) })
    .node('y', 'Reshape', ['x', 'target'])
    .node('split', 'Split', ['zero', 'shape'], { num_split: attr.int(2) })
    .node('filled', 'Fill', ['split:1', 'half'])
    .build('y', 'filled', 'resized');
  const shapes = await expectInferredShapes(graph, random);
  expect(shapes.get('resized:0')).toEqual([-1, 2, 3, 2]);
  expect(shapes.get('y:0')).toEqual([-1, 3, 2, 4, 2]);
  expect(shapes.get('range:0')).toEqual([3]);
});

test('ShapeN of tensors of fixed and of open sizes', async () => {
  const graph = new FloatGraph(random)
    .input('a', [2, 6, 4])
    .input('b', [-1, 5, 3])
    .constant('half', [], [0.5])
    .node('shapes', 'ShapeN', ['a', 'b'], { N: attr.int(2), out_type: attr.dtype('int32') })
    .node('likeA', 'Fill', ['shapes', 'half'])
    .node('likeB', 'Fill', ['shapes:1', 'half'])
    .build('likeA', 'likeB');
  const shapes = await expectInferredShapes(graph, random);
  expect(shapes.get('likeA:0')).toEqual([2, 6, 4]);
  expect(shapes.get('likeB:0')).toEqual([-1, 5, 3]);
});

test('what multiplies an open size is open, and a -1 of the model is not', () => {
  const graph = ints(new FloatGraph(random).input('x', [-1, 6]), { zero: [0], one: [1], minus: -1, six: 6 })
    .node('shape', 'Shape', ['x'], { out_type: attr.dtype('int32') })
    .node('batch', 'StridedSlice', ['shape', 'zero', 'one', 'one'], slice({ shrink_axis: 1 }))
    .node('negative', 'Mul', ['six', 'minus'], int)
    .node('positive', 'Mul', ['negative', 'minus'], int)
    .node('twice', 'AddV2', ['batch', 'batch'], int)
    .node('target', 'Pack', ['minus', 'positive'], { axis: attr.int(0) })
    .node('y', 'Reshape', ['x', 'target'])
    .node('more', 'Pack', ['twice', 'minus'], { axis: attr.int(0) })
    .node('z', 'Reshape', ['x', 'more'])
    .build('y', 'z');
  const shapes = inferShapes(graph);
  expect(shapes.get('y:0')).toEqual([-1, 6]);
  expect(shapes.get('z:0')).toEqual([-1, -1]);
});
