// @needs engine
import { attr } from '../../src/graph/attrs';
import { optimize } from '../../src/passes/pipeline';
import { splitToSlices } from '../../src/passes/split-to-slices';
import { drawFeeds, execute, expectSameFunction, FloatGraph, ops, windowAttrs } from '../support/float-graph';
import { expectReference, fidelity, quantize } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const T = { T: attr.dtype('float32') };

function image(): FloatGraph {
  return new FloatGraph(random)
    .input('image', [2, 4, 6, 6])
    .weights('w', [1, 1, 6, 6], -0.5, 0.5)
    .node('a', 'Conv2D', ['image', 'w'], windowAttrs());
}

const CASES: [string, (graph: FloatGraph) => FloatGraph, string[]][] = [
  [
    'Split of the channels',
    (g) =>
      g
        .constant('axis', [], [-1], 'int32')
        .node('parts', 'Split', ['axis', 'a'], { ...T, num_split: attr.int(2) })
        .node('sum', 'AddV2', ['parts', 'parts:1']),
    ['Conv2D', 'Slice', 'Slice', 'AddV2'],
  ],
  [
    'SplitV of the height, one part of which is not read',
    (g) =>
      g
        .constant('axis', [], [1], 'int32')
        .constant('sizes', [3], [1, -1, 1], 'int32')
        .node('parts', 'SplitV', ['a', 'sizes', 'axis'], { ...T, num_split: attr.int(3) })
        .node('sum', 'AddV2', ['parts:2', 'parts:1']),
    ['Conv2D', 'Slice', 'Slice', 'AddV2'],
  ],
  [
    'Unpack of the width',
    (g) =>
      g
        .node('parts', 'Unpack', ['a'], { ...T, axis: attr.int(2), num: attr.int(6) })
        .node('sum', 'AddV2', ['parts:5', 'parts']),
    ['Conv2D', 'Slice', 'Squeeze', 'Slice', 'Squeeze', 'AddV2'],
  ],
];

test.each(CASES)('%s: the same function, and one region', async (_, build, expected) => {
  const graph = build(image()).build('sum');
  const { graph: sliced } = optimize(graph);
  expect(ops(sliced).sort()).toEqual([...expected].sort());
  await expectSameFunction(graph, sliced, random);
  const { graph: quantized, plan, observations } = await quantize(sliced, random);
  expect([...plan.float]).toEqual([]);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(sliced, observations, random);
});

test('a part that is an output stays as it is, and integers do', async () => {
  const parts = { ...T, num_split: attr.int(2) };
  const graph = image()
    .constant('axis', [], [3], 'int32')
    .node('parts', 'Split', ['axis', 'a'], parts)
    .node('shape', 'Shape', ['a'], { ...T, out_type: attr.dtype('int32') })
    .constant('first', [], [0], 'int32')
    .node('sizes', 'Split', ['first', 'shape'], { T: attr.dtype('int32'), num_split: attr.int(4) })
    .node('size', 'Identity', ['sizes:3'])
    .build('parts:1', 'size');
  const { graph: same, changes } = splitToSlices.apply(graph);
  expect(changes.map(({ node, action, detail }) => [node, action, detail])).toEqual([
    ['parts', 'declined', 'not sliced: a part is an output'],
  ]);
  const feeds = drawFeeds(graph, random);
  expect(await execute(same, feeds)).toEqual(await execute(graph, feeds));
});
