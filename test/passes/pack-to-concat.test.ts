// @needs engine
import { attr } from '../../src/graph/attrs';
import { packToConcat } from '../../src/passes/pack-to-concat';
import { expectSameFunction, FloatGraph, ops } from '../support/float-graph';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const pack = (axis: number, T = 'float32' as 'float32' | 'int32') => ({
  T: attr.dtype(T),
  N: attr.int(2),
  axis: attr.int(axis),
});
const inputs = () => new FloatGraph(random).input('a', [-1, 3, 5]).input('b', [-1, 3, 5]);

test.each([1, 2, 3, -1, -2, -3])('a Pack along axis %i is a concatenation', async (axis) => {
  const graph = inputs().node('pack', 'Pack', ['a', 'b'], pack(axis)).build('pack');
  const { graph: joined } = packToConcat.apply(graph);
  expect(ops(joined)).toEqual(['ExpandDims', 'ExpandDims', 'ConcatV2']);
  await expectSameFunction(graph, joined, random);
});

test.each<[string, (graph: FloatGraph) => FloatGraph]>([
  ['along the batch', (g) => g.node('pack', 'Pack', ['a', 'b'], pack(0))],
  ['along the batch, counted from the end', (g) => g.node('pack', 'Pack', ['a', 'b'], pack(-4))],
  ['of a constant', (g) => g.weights('c', [1, 3, 5]).node('pack', 'Pack', ['c', 'c'], pack(1))],
])('a Pack %s stays', (_, build) => {
  const graph = build(inputs()).build('pack');
  expect(ops(packToConcat.apply(graph).graph)).toEqual(['Pack']);
});
