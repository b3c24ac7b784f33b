import { attr } from '../../src/graph/attrs';
import { countMacs } from '../../src/graph/count-macs';
import { refKey } from '../../src/graph/edit';
import { inferShapes } from '../../src/graph/infer-shapes';
import type { Graph } from '../../src/graph/ir';
import { parseRef } from '../../src/graph/read-graph-model';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../support/float-graph';
import { randomOf } from '../support/random';

const random = randomOf('shapes', 0);

/** Compares every inferred shape with what TF.js computes for a batch of 2. */
async function expectShapes(graph: Graph): Promise<void> {
  const shapes = inferShapes(graph);
  const refs = [...shapes.keys()].map(parseRef).filter(({ node }) => !graph.constants.has(node));
  const results = await execute(graph, drawFeeds(graph, random), refs);
  refs.forEach((ref, i) => {
    const inferred = shapes.get(refKey(ref))?.map((d) => (d < 0 ? 2 : d));
    expect([refKey(ref), inferred]).toEqual([refKey(ref), results[i].shape]);
  });
}

const blockAttrs = { block_size: attr.int(2), data_format: attr.string('NHWC') };

function image(): FloatGraph {
  return new FloatGraph(random).input('image', [-1, 9, 7, 3]);
}

test.each([
  ['SAME', 1],
  ['SAME', 2],
  ['VALID', 1],
  ['VALID', 2],
])('convolutions and pools with %s padding and stride %d', async (padding, strides) => {
  const graph = image()
    .weights('w', [3, 2, 3, 5])
    .weights('d', [3, 3, 5, 2])
    .node('conv', 'Conv2D', ['image', 'w'], windowAttrs({ padding, strides }))
    .node('depthwise', 'DepthwiseConv2dNative', ['conv', 'd'], windowAttrs({ padding }))
    .node('pool', 'MaxPool', ['depthwise'], windowAttrs({ padding: 'SAME', strides, ksize: 2 }));
  await expectShapes(graph.build('pool'));
});

test('explicit padding', async () => {
  const attrs = windowAttrs({ padding: 'EXPLICIT', pads: [0, 0, 1, 2, 0, 3, 0, 0], strides: 2 });
  await expectShapes(
    image().weights('w', [3, 3, 3, 5]).node('conv', 'Conv2D', ['image', 'w'], attrs).build('conv'),
  );
});

test('ops that move data', async () => {
  const graph = image()
    .constant('flat', [2], [-1, 63], 'int32')
    .constant('axes', [2], [1, -2], 'int32')
    .constant('order', [4], [0, 3, 1, 2], 'int32')
    .constant('axis', [], [-1], 'int32')
    .constant('pads', [4, 2], [0, 0, 1, 2, 0, 0, 0, 3], 'int32')
    .constant('size', [2], [4, 5], 'int32')
    .node('mean', 'Mean', ['image', 'axes'], { keep_dims: { b: false } })
    .node('kept', 'Mean', ['image', 'axes'], { keep_dims: { b: true } })
    .node('squeezed', 'Squeeze', ['kept'], { squeeze_dims: attr.ints([1, 2]) })
    .node('transposed', 'Transpose', ['image', 'order'])
    .node('expanded', 'ExpandDims', ['mean', 'axis'])
    .node('joined', 'ConcatV2', ['image', 'image', 'axis'])
    .node('padded', 'Pad', ['image', 'pads'])
    .node('resized', 'ResizeBilinear', ['image', 'size'], {
      align_corners: { b: false },
      half_pixel_centers: { b: false },
    })
    .node('sum', 'AddV2', ['image', 'kept']);
  const outputs = ['squeezed', 'transposed', 'expanded', 'joined', 'padded', 'resized', 'sum'];
  await expectShapes(graph.build(...outputs));
});

test('ops that cut, join and regroup', async () => {
  const graph = new FloatGraph(random)
    .input('image', [-1, 8, 6, 4])
    .constant('axis', [], [-1], 'int32')
    .constant('sizes', [3], [1, -1, 2], 'int32')
    .constant('begin', [4], [0, 1, 2, 0], 'int32')
    .constant('size', [4], [-1, 5, -1, 4], 'int32')
    .constant('indices', [2, 3], [0, 1, 2, 3, 2, 1], 'int32')
    .constant('k', [], [2], 'int32')
    .node('halves', 'Split', ['axis', 'image'], { num_split: attr.int(2) })
    .node('parts', 'SplitV', ['image', 'sizes', 'axis'], { num_split: attr.int(3) })
    .node('planes', 'Unpack', ['image'], { axis: attr.int(-1), num: attr.int(4) })
    .node('stack', 'Pack', ['planes:1', 'planes:3'], { axis: attr.int(-1) })
    .node('slice', 'Slice', ['image', 'begin', 'size'])
    .node('gathered', 'GatherV2', ['image', 'indices', 'axis'], { batch_dims: attr.int(0) })
    .node('best', 'TopKV2', ['image', 'k'], { sorted: { b: true } })
    .node('wider', 'DepthToSpace', ['image'], blockAttrs)
    .node('equal', 'Equal', ['image', 'image']);
  const outputs = ['halves:1', 'parts:2', 'stack', 'slice', 'gathered', 'best:1', 'wider', 'equal'];
  await expectShapes(graph.build(...outputs));
});

test('space to depth, which TF.js does not know', () => {
  const graph = new FloatGraph(random)
    .input('image', [-1, 8, 6, 4])
    .node('deeper', 'SpaceToDepth', ['image'], blockAttrs);
  expect(inferShapes(graph.build('deeper')).get('deeper:0')).toEqual([-1, 4, 3, 16]);
});

test('a flatten written as shape arithmetic', async () => {
  const graph = image()
    .constant('zero', [1], [0], 'int32')
    .constant('one', [1], [1], 'int32')
    .constant('rest', [], [189], 'int32')
    .node('shape', 'Shape', ['image'], { out_type: attr.dtype('int32') })
    .node('batch', 'StridedSlice', ['shape', 'zero', 'one', 'one'], {
      shrink_axis_mask: attr.int(1),
      begin_mask: attr.int(0),
      end_mask: attr.int(0),
      ellipsis_mask: attr.int(0),
      new_axis_mask: attr.int(0),
    })
    .node('target', 'Pack', ['batch', 'rest'], { axis: attr.int(0) })
    .node('flat', 'Reshape', ['image', 'target'])
    .build('flat');
  expect(inferShapes(graph).get('flat:0')).toEqual([-1, 189]);
});

test('what cannot go together is refused, with the node and the shapes', () => {
  const channels = image().weights('w', [3, 3, 4, 5]).node('conv', 'Conv2D', ['image', 'w'], windowAttrs());
  expect(() => inferShapes(channels.build('conv'))).toThrow(/'conv'.*4 input channels but its input has 3/);
  const small = image()
    .weights('w', [11, 3, 3, 5])
    .node('conv', 'Conv2D', ['image', 'w'], windowAttrs({ padding: 'VALID' }));
  expect(() => inferShapes(small.build('conv'))).toThrow(/does not fit/);
  const huge = new FloatGraph(random)
    .input('x', [2 ** 26, 1])
    .input('y', [1, 2 ** 28])
    .node('sum', 'AddV2', ['x', 'y']);
  expect(() => inferShapes(huge.build('sum'))).toThrow(/past 2\^53/);
});

test('parts and blocks that a size does not divide into are refused, as TF.js refuses them', async () => {
  const split = new FloatGraph(random)
    .input('x', [2, 3])
    .constant('axis', [], [1], 'int32')
    .node('split', 'Split', ['axis', 'x'], { num_split: attr.int(2) })
    .build('split');
  const blocks = new FloatGraph(random)
    .input('x', [2, 5, 4, 3])
    .constant('block', [2], [2, 2], 'int32')
    .constant('pads', [2, 2], [0, 0, 0, 0], 'int32')
    .node('blocks', 'SpaceToBatchND', ['x', 'block', 'pads'])
    .build('blocks');
  for (const graph of [split, blocks]) {
    expect(() => inferShapes(graph)).toThrow(/does not divide evenly: its shape would be \[\S*\.5/);
    await expect(execute(graph, drawFeeds(graph, random))).rejects.toThrow();
  }
});

test('multiply-accumulates are counted for one sample', () => {
  const graph = image()
    .weights('w', [3, 3, 3, 5])
    .weights('d', [3, 3, 5, 2])
    .node('conv', 'Conv2D', ['image', 'w'], windowAttrs())
    .node('depthwise', 'DepthwiseConv2dNative', ['conv', 'd'], windowAttrs({ strides: 2 }))
    .build('depthwise');
  const shapes = inferShapes(graph);
  expect(countMacs(graph, shapes, graph.nodes.get('conv')!)).toBe(9 * 7 * 5 * 27);
  expect(countMacs(graph, shapes, graph.nodes.get('depthwise')!)).toBe(5 * 4 * 10 * 9);
});

test('a transposed convolution spreads every input over its window', () => {
  const graph = image()
    .constant('size', [4], [2, 18, 14, 5], 'int32')
    .weights('w', [2, 2, 5, 3])
    .node('up', 'Conv2DBackpropInput', ['size', 'w', 'image'], windowAttrs({ strides: 2 }))
    .build('up');
  const shapes = inferShapes(graph);
  expect(countMacs(graph, shapes, graph.nodes.get('up')!)).toBe(9 * 7 * 4 * 3 * 5);
});

test('products of two activations, named axes, batches and volumes are counted, and those of unknown shape', () => {
  const volume = {
    data_format: attr.string('NDHWC'),
    padding: attr.string('SAME'),
    strides: attr.ints([1, 1, 1, 1, 1]),
  };
  const graph = new FloatGraph(random)
    .input('a', [-1, 4, 3])
    .input('b', [-1, 5, 3])
    .input('v', [-1, 2, 3, 4, 2])
    .weights('w', [4, 3, 6])
    .weights('f', [1, 2, 3, 2, 5])
    .weights('k', [3, 3, 2, 4])
    .node('scores', 'BatchMatMulV2', ['a', 'b'], { adj_x: { b: false }, adj_y: { b: true } })
    .node('rows', 'BatchMatMulV2', ['swapped', 'w'], { adj_x: { b: false }, adj_y: { b: false } })
    .constant('order', [3], [1, 0, 2], 'int32')
    .node('swapped', 'Transpose', ['a', 'order'])
    .node('named', 'Einsum', ['a', 'b'], { equation: attr.string('bik,bjk->bij') })
    .node('conv', 'Conv3D', ['v', 'f'], volume)
    .node('unknown', 'NoSuchOp', ['v'])
    .node('lost', 'Conv2D', ['unknown', 'k'], windowAttrs())
    .build('scores', 'rows', 'named', 'conv', 'lost');
  const shapes = inferShapes(graph);
  const macs = (name: string) => countMacs(graph, shapes, graph.nodes.get(name)!);
  expect(macs('scores')).toBe(4 * 5 * 3);
  expect(macs('named')).toBe(4 * 5 * 3);
  expect(macs('rows')).toBe(4 * 1 * 6 * 3);
  expect(macs('conv')).toBe(2 * 3 * 4 * 5 * (1 * 2 * 3 * 2));
  expect(macs('lost')).toBe(3 * 3 * 2 * 4);
});
