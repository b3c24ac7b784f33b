import { attr } from '../../../../src/graph/attrs';
import { matchLayout } from '../../../../src/passes/quantize/match/layout';
import type { FloatGraph } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('layout', 0);
type Build = (graph: FloatGraph) => FloatGraph;
const ints = (graph: FloatGraph, name: string, values: number[], shape = [values.length]) =>
  graph.constant(name, shape, values, 'int32');

test.each<[string, Build]>([
  ['Pad', (g) => ints(g, 'p', [0, 0, 1, 1, 0, 2, 0, 0], [4, 2]).node('op', 'Pad', ['x', 'p'])],
  ['Transpose', (g) => ints(g, 'o', [0, 2, 1, -1]).node('op', 'Transpose', ['x', 'o'])],
  ['SpaceToDepth', (g) => g.node('op', 'SpaceToDepth', ['x'], { block_size: attr.int(2) })],
])('%s moves codes as they are', (_, build) => {
  expect(matchOp(matchLayout, build, random)).toMatchObject({ kind: 'layout', activations: [{ node: 'x' }] });
});

test.each<[string, Build, string]>([
  [
    'a negative padding',
    (g) => ints(g, 'p', [0, 0, -1, 0, 0, 0, 0, 0], [4, 2]).node('op', 'Pad', ['x', 'p']),
    'it cuts',
  ],
  [
    'another value than zero',
    (g) =>
      ints(g, 'p', [0, 0, 1, 0, 0, 0, 0, 0], [4, 2])
        .constant('v', [], [2])
        .node('op', 'PadV2', ['x', 'p', 'v']),
    'it pads with other values than zero',
  ],
  [
    'an order of another rank',
    (g) => ints(g, 'o', [1, 0]).node('op', 'Transpose', ['x', 'o']),
    'its order or its shape is not known',
  ],
])('%s cannot be quantized', (_, build, reason) => {
  expect(matchOp(matchLayout, build, random)).toBe(reason);
});
