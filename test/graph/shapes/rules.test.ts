/** Ops whose shapes are less usual, against TF.js. */
import { attr } from '../../../src/graph/attrs';
import { FloatGraph, windowAttrs } from '../../support/float-graph';
import { randomOf } from '../../support/random';
import { expectInferredShapes } from '../../support/shapes';

const random = randomOf('shape rules', 0);
const image = () => new FloatGraph(random).input('x', [-1, 8, 6, 4]);

test('a batch of blocks and back, with and without a dilated convolution between', async () => {
  const graph = image()
    .constant('block', [2], [2, 2], 'int32')
    .constant('pads', [2, 2], [2, 2, 2, 4], 'int32')
    .constant('crops', [2, 2], [0, 0, 0, 2], 'int32')
    .weights('w', [3, 3, 4, 5])
    .node('blocks', 'SpaceToBatchND', ['x', 'block', 'pads'])
    .node('conv', 'Conv2D', ['blocks', 'w'], windowAttrs({ padding: 'VALID' }))
    .node('y', 'BatchToSpaceND', ['conv', 'block', 'crops'])
    .build('y');
  const shapes = await expectInferredShapes(graph, random);
  expect(shapes.get('y:0')).toEqual([-1, 8, 6, 5]);
});

test('ops of one tensor that keep its shape', async () => {
  const ops = [
    'Sin',
    'Cos',
    'Atan',
    'Ceil',
    'Sign',
    'Log1p',
    'ZerosLike',
    'OnesLike',
    'IsNan',
    'Asinh',
    'Expm1',
  ];
  const graph = image();
  for (const op of ops) graph.node(op, op, ['x']);
  graph.node('LRN', 'LRN', ['x'], {
    depth_radius: attr.int(2),
    bias: attr.float(1),
    alpha: attr.float(1),
    beta: attr.float(0.5),
  });
  graph.constant('axis', [1], [1], 'int32').node('ReverseV2', 'ReverseV2', ['x', 'axis']);
  graph.constant('along', [], [1], 'int32').node('Cumsum', 'Cumsum', ['x', 'along']);
  await expectInferredShapes(graph.build('LRN', ...ops, 'ReverseV2', 'Cumsum'), random);
});

test('products along named axes, arguments of maxima, one-hot codes, places', async () => {
  const graph = new FloatGraph(random)
    .input('a', [-1, 3, 4])
    .input('b', [-1, 4, 5])
    .weights('w', [4, 2, 6])
    .constant('axis', [], [-1], 'int32')
    .constant('depth', [], [7], 'int32')
    .constant('on', [], [1])
    .constant('off', [], [0])
    .node('ab', 'Einsum', ['a', 'b'], { equation: attr.string('bij,bjk->bik') })
    .node('heads', 'Einsum', ['a', 'w'], { equation: attr.string('abc,cde->abde') })
    .node('largest', 'ArgMax', ['a', 'axis'], { T: attr.dtype('float32') })
    .node('codes', 'OneHot', ['largest', 'depth', 'on', 'off'], {
      axis: attr.int(-1),
      dtype: attr.dtype('float32'),
    })
    .node('greater', 'Greater', ['a', 'off'])
    .node('chosen', 'SelectV2', ['greater', 'a', 'off'])
    .node('broadcast', 'Select', ['greater', 'off', 'on'])
    .build('ab', 'heads', 'codes', 'chosen', 'broadcast');
  const shapes = await expectInferredShapes(graph, random);
  expect(shapes.get('heads:0')).toEqual([-1, 3, 2, 6]);
  expect(shapes.get('codes:0')).toEqual([-1, 3, 7]);
});

test('convolutions and pools of volumes', async () => {
  const volume = { data_format: attr.string('NDHWC'), padding: attr.string('SAME') };
  const graph = new FloatGraph(random)
    .input('x', [-1, 5, 6, 7, 2])
    .weights('w', [3, 2, 3, 2, 4])
    .node('conv', 'Conv3D', ['x', 'w'], {
      ...volume,
      strides: attr.ints([1, 2, 1, 2, 1]),
      dilations: attr.ints([1, 1, 1, 1, 1]),
    })
    .node('max', 'MaxPool3D', ['conv'], {
      ...volume,
      ksize: attr.ints([1, 2, 2, 2, 1]),
      strides: attr.ints([1, 2, 2, 2, 1]),
    })
    .node('mean', 'AvgPool3D', ['max'], {
      ...volume,
      padding: attr.string('VALID'),
      ksize: attr.ints([1, 1, 2, 2, 1]),
      strides: attr.ints([1, 1, 1, 1, 1]),
    })
    .build('mean');
  await expectInferredShapes(graph, random);
});

test('gathers by several indices, and joins beside a tensor of unknown rank', async () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 6, 4])
    .constant('places', [3, 2, 2], [0, 1, 1, 2, 0, 0, 1, 5, 0, 3, 1, 1], 'int32')
    .node('gathered', 'GatherNd', ['x', 'places'])
    .build('gathered');
  await expectInferredShapes(graph, random);
});

test.each([
  { shape: [-1, 1] },
  { shape: [-1, 2] },
  { shape: [-1, 5] },
  { shape: [-1, 6] },
  { shape: [6] },
  { shape: [-1, 3, 5] },
  { shape: [-1, 3, 4, 6] },
  { shape: [2, 3, 4, 6] },
  { shape: [2, 1, 3, 2, 5] },
])('spectra of $shape numbers and back, as TF.js computes them', async ({ shape }) => {
  const graph = new FloatGraph(random)
    .input('x', shape)
    .constant('length', [1], [shape.at(-1)!], 'int32')
    .node('spectrum', 'RFFT', ['x', 'length'])
    .node('magnitudes', 'ComplexAbs', ['spectrum'])
    .node('back', 'IRFFT', ['spectrum', 'length'])
    .build('magnitudes', 'back');
  await expectInferredShapes(graph, random, ['magnitudes', 'back']);
});
