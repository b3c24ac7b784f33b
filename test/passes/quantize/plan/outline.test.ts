import { inferShapes } from '../../../../src/graph/infer-shapes';
import type { Graph } from '../../../../src/graph/ir';
import { findCandidates } from '../../../../src/passes/quantize/plan/candidates';
import {
  type OutlineOptions,
  outlineRegions,
  regionOutputs,
} from '../../../../src/passes/quantize/plan/outline';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('outline', 0);

function outline(graph: Graph, options?: OutlineOptions) {
  const { candidates } = findCandidates(graph, inferShapes(graph));
  const result = outlineRegions(graph, candidates, options);
  return { ...result, names: result.regions.map((nodes) => nodes.map((n) => n.name)) };
}

test('no path leaves a region and comes back', () => {
  const graph = conv(image(random), 'a', 'image')
    .node('around', 'Round', ['a'])
    .node('sum', 'AddV2', ['a', 'around']);
  expect(outline(conv(graph, 'b', 'sum').build('b')).names).toEqual([['a'], ['sum', 'b']]);
});

test('a layout op at the end is trimmed, and the node before it is an output', () => {
  const graph = conv(image(random), 'a', 'image')
    .constant('order', [4], [0, 3, 1, 2], 'int32')
    .node('moved', 'Transpose', ['a', 'order'])
    .build('moved');
  const { names, regions, leftOut } = outline(graph);
  expect(names).toEqual([['a']]);
  expect([...leftOut.keys()]).toEqual(['moved']);
  expect(regionOutputs(graph, regions[0]).map((n) => n.name)).toEqual(['a']);
});

test('and stays where the node before it has float32 output', () => {
  const graph = conv(image(random), 'a', 'image')
    .constant('order', [4], [0, 3, 1, 2], 'int32')
    .node('moved', 'Transpose', ['a', 'order'])
    .build('moved');
  const { names, precisions } = outline(graph, { precisions: new Map([['a', 'dynamic']]) });
  expect(names).toEqual([['a', 'moved']]);
  expect([...precisions]).toEqual([
    ['a', 'dynamic'],
    ['moved', 'dynamic'],
  ]);
});

test('a layer whose sums overflow int16 activations stays in int8, and may be dynamic', () => {
  const depth = 40000;
  const graph = image(random, [1, depth])
    .constant('w', [depth, 2], new Float32Array(2 * depth))
    .node('y', 'MatMul', ['image', 'w'])
    .build('y');
  const precisions = (precision: 'int16' | 'dynamic') =>
    outline(graph, { precisions: new Map([['y', precision]]) }).precisions.get('y');
  expect([precisions('int16'), precisions('dynamic')]).toEqual([undefined, 'dynamic']);
});

test('a group without weights is no region, unless requested', () => {
  const graph = image(random).node('sum', 'AddV2', ['image', 'image']).build('sum');
  expect(outline(graph)).toMatchObject({
    names: [],
    leftOut: new Map([['sum', 'no weighted op is next to it']]),
  });
  expect(outline(graph, { weightless: true }).names).toEqual([['sum']]);
});
