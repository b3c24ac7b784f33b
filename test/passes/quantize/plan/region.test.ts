import { planRegion } from '../../../../src/passes/quantize/plan/region';
import { randomOf } from '../../../support/random';
import { scopeOf } from '../../../support/region-scope';
import { conv, image } from '../../../support/small-network';

const random = randomOf('region', 0);

test('a region observes its inputs, what it stores, and the arguments of tables', () => {
  const graph = conv(image(random), 'a', 'image').node('elu', 'Elu', ['a']);
  const region = planRegion(scopeOf(conv(graph, 'b', 'elu').build('b')));
  const names = (refs: readonly { node: string }[]) => refs.map(({ node }) => node);
  expect(names(region.inputs)).toEqual(['image']);
  expect(names(region.outputs)).toEqual(['b']);
  expect(names(region.observed)).toEqual(['image', 'elu', 'a', 'b']);
  expect(region.nodes.map(({ name }) => name)).toEqual(['a', 'elu', 'b']);
  expect(region.sharedRanges.size).toBe(0);
});

test('the scope of a region knows what it contains, what leaves it, and what is on float32', () => {
  const graph = conv(conv(image(random), 'a', 'image'), 'b', 'a').build('a', 'b');
  const scope = scopeOf(graph, new Map([['b', 'dynamic']]));
  const ref = (node: string) => ({ node, index: 0 });
  expect(['image', 'a', 'b'].map((name) => scope.contains(ref(name)))).toEqual([false, true, true]);
  expect(['image', 'a', 'b'].map((name) => scope.leaves(ref(name)))).toEqual([false, true, true]);
  expect(['a', 'b'].map((name) => scope.isFloatInOut(ref(name)))).toEqual([false, true]);
});
