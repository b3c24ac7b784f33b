/** Shapes across loops and lists of tensors, against TF.js. */
import { attr } from '../../../src/graph/attrs';
import { toModelArtifacts } from '../../../src/graph/encode-graph-model';
import { inferShapes } from '../../../src/graph/infer-shapes';
import type { Graph } from '../../../src/graph/ir';
import { readModelArtifacts } from '../../../src/graph/read-artifacts';
import { FloatGraph, windowAttrs } from '../../support/float-graph';
import { randomOf } from '../../support/random';
import { expectInferredShapes } from '../../support/shapes';

const random = randomOf('loops', 0);
const ordered = (graph: FloatGraph, output: string): Promise<Graph> =>
  readModelArtifacts(toModelArtifacts(graph.build(output)));

const frame = (constant: boolean) => ({ frame_name: attr.string('loop'), is_constant: { b: constant } });
const element = { element_dtype: attr.dtype('float32') };

/** As detectors prepare their pictures: each is taken out of a list, resized and put into another. */
function resizedOneByOne(): FloatGraph {
  return new FloatGraph(random)
    .input('x', [3, 8, 8, 2])
    .constant('element', [3], [-1, -1, -1], 'int32')
    .constant('open', [], [-1], 'int32')
    .constant('count', [], [3], 'int32')
    .constant('zero', [], [0], 'int32')
    .constant('one', [], [1], 'int32')
    .constant('axis', [], [0], 'int32')
    .constant('size', [2], [4, 6], 'int32')
    .weights('filter', [3, 3, 2, 5])
    .node('from', 'TensorListFromTensor', ['x', 'element'], element)
    .node('to', 'TensorListReserve', ['open', 'count'], element)
    .node('from/enter', 'Enter', ['from'], frame(false))
    .node('to/enter', 'Enter', ['to'], frame(false))
    .node('i/enter', 'Enter', ['zero'], frame(false))
    .node('count/enter', 'Enter', ['count'], frame(true))
    .node('one/enter', 'Enter', ['one'], frame(true))
    .node('axis/enter', 'Enter', ['axis'], frame(true))
    .node('size/enter', 'Enter', ['size'], frame(true))
    .node('element/enter', 'Enter', ['element'], frame(true))
    .node('from/merge', 'Merge', ['from/enter', 'from/next'])
    .node('to/merge', 'Merge', ['to/enter', 'to/next'])
    .node('i/merge', 'Merge', ['i/enter', 'i/next'])
    .node('less', 'Less', ['i/merge', 'count/enter'])
    .node('condition', 'LoopCond', ['less'])
    .node('from/switch', 'Switch', ['from/merge', 'condition'])
    .node('to/switch', 'Switch', ['to/merge', 'condition'])
    .node('i/switch', 'Switch', ['i/merge', 'condition'])
    .node('picture', 'TensorListGetItem', ['from/switch:1', 'i/switch:1', 'element/enter'], element)
    .node('batch', 'ExpandDims', ['picture', 'axis/enter'])
    .node('resized', 'ResizeBilinear', ['batch', 'size/enter'], {
      align_corners: { b: false },
      half_pixel_centers: { b: false },
    })
    .node('single', 'Squeeze', ['resized'], { squeeze_dims: attr.ints([0]) })
    .node('set', 'TensorListSetItem', ['to/switch:1', 'i/switch:1', 'single'], element)
    .node('i/more', 'AddV2', ['i/switch:1', 'one/enter'], { T: attr.dtype('int32') })
    .node('from/next', 'NextIteration', ['from/switch:1'])
    .node('to/next', 'NextIteration', ['set'])
    .node('i/next', 'NextIteration', ['i/more'])
    .node('exit', 'Exit', ['to/switch'])
    .node('stack', 'TensorListStack', ['exit', 'element'], { ...element, num_elements: attr.int(3) })
    .node('conv', 'Conv2D', ['stack', 'filter'], windowAttrs());
}

test('pictures that a loop resizes have the size that it gives them', async () => {
  const graph = await ordered(resizedOneByOne(), 'conv');
  const shapes = await expectInferredShapes(graph, random, ['stack', 'conv']);
  expect(shapes.get('conv:0')).toEqual([3, 4, 6, 5]);
  expect(shapes.get('single:0')).toEqual([4, 6, 2]);
});

/** A sum that a loop makes, and another that grows by a column a turn. */
function carried(grows: boolean): FloatGraph {
  const graph = new FloatGraph(random)
    .input('x', [-1, 3])
    .constant('limit', [], [4], 'int32')
    .constant('zero', [], [0], 'int32')
    .constant('one', [], [1], 'int32')
    .constant('axis', [], [1], 'int32')
    .node('i/enter', 'Enter', ['zero'], frame(false))
    .node('x/enter', 'Enter', ['x'], frame(false))
    .node('first/enter', 'Enter', ['x'], frame(true))
    .node('axis/enter', 'Enter', ['axis'], frame(true))
    .node('limit/enter', 'Enter', ['limit'], frame(true))
    .node('one/enter', 'Enter', ['one'], frame(true))
    .node('i/merge', 'Merge', ['i/enter', 'i/next'])
    .node('x/merge', 'Merge', ['x/enter', 'x/next'])
    .node('less', 'Less', ['i/merge', 'limit/enter'])
    .node('condition', 'LoopCond', ['less'])
    .node('i/switch', 'Switch', ['i/merge', 'condition'])
    .node('x/switch', 'Switch', ['x/merge', 'condition'])
    .node('i/more', 'AddV2', ['i/switch:1', 'one/enter'], { T: attr.dtype('int32') })
    .node('i/next', 'NextIteration', ['i/more'])
    .node('x/next', 'NextIteration', ['body'])
    .node('exit', 'Exit', ['x/switch']);
  return grows
    ? graph.node('body', 'ConcatV2', ['x/switch:1', 'first/enter', 'axis/enter'], { N: attr.int(2) })
    : graph.node('body', 'AddV2', ['x/switch:1', 'first/enter']);
}

test('what a loop carries keeps its shape where every turn does', async () => {
  const shapes = await expectInferredShapes(await ordered(carried(false), 'exit'), random, ['exit']);
  expect(shapes.get('exit:0')).toEqual([-1, 3]);
});

test('what grows from turn to turn is open along that axis', async () => {
  const graph = await ordered(carried(true), 'exit');
  expect(inferShapes(graph).get('exit:0')).toEqual([-1, -1]);
});

test('a list gives no more elements than it has, though an index comes twice', async () => {
  const graph = new FloatGraph(random)
    .input('x', [2, 3])
    .constant('element', [1], [3], 'int32')
    .constant('places', [3], [0, 0, 1], 'int32')
    .node('list', 'TensorListFromTensor', ['x', 'element'], element)
    .node('chosen', 'TensorListGather', ['list', 'places', 'element'], element);
  const shapes = await expectInferredShapes(await ordered(graph, 'chosen'), random, ['chosen']);
  expect(shapes.get('chosen:0')).toEqual([2, 3]);
});
