import type { Graph } from '../../../../src/graph/ir';
import { findDemands, findFusions } from '../../../../src/passes/quantize/plan/demands';
import { randomOf } from '../../../support/random';
import { scopeOf } from '../../../support/region-scope';
import { conv, image } from '../../../support/small-network';

const random = randomOf('demands', 0);

/** A convolution `a`, and a hard-swish of it in four nodes. */
function hardSwish() {
  return conv(image(random), 'a', 'image')
    .constant('three', [], [3])
    .constant('sixth', [], [1 / 6])
    .node('shifted', 'AddV2', ['a', 'three'])
    .node('gate', 'Relu6', ['shifted'])
    .node('product', 'Mul', ['a', 'gate'])
    .node('swish', 'Mul', ['product', 'sixth']);
}

function demandsOf(
  graph: Graph,
  ...requested: Parameters<typeof scopeOf> extends [Graph, ...infer R] ? R : never
) {
  const scope = scopeOf(graph, ...requested);
  const demands = findDemands(scope);
  return { ...demands, fused: [...findFusions(scope, demands)] };
}

test('what lies in the middle of a chain of functions is not computed', () => {
  const { needed, readers, fused } = demandsOf(hardSwish().build('swish'));
  expect([...needed.keys()]).toEqual(['swish:0', 'a:0', 'image:0']);
  expect(readers.get('a:0')).toEqual([{ node: 'swish', index: 0 }]);
  expect(fused).toEqual(['a:0']);
  const { chain } = needed.get('swish:0')!;
  for (const x of [-4, -1, 0, 2, 5])
    expect(chain!.f(x)).toBeCloseTo((x * Math.min(Math.max(x + 3, 0), 6)) / 6, 6);
});

test('a tensor that leaves the region is stored, and its function a table of its own', () => {
  const { needed, fused } = demandsOf(hardSwish().build('swish', 'a'));
  expect([...needed.keys()].sort()).toEqual(['a:0', 'image:0', 'swish:0']);
  expect(fused).toEqual([]);
});

test('a clamp on float32 is fused into a layer on float32, and into no other', () => {
  const graph = conv(image(random), 'a', 'image').node('relu', 'Relu', ['a']).build('relu');
  const both = new Map([
    ['a', 'int16'],
    ['relu', 'int16'],
  ] as const);
  const float = demandsOf(graph, both);
  expect(float.fused).toEqual(['a:0']);
  expect([...float.floatReads].sort()).toEqual(['a:0', 'image:0']);
  expect(demandsOf(graph, new Map([['relu', 'int16']])).fused).toEqual([]);
});
