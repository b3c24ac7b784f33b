import type { Graph } from '../../../../src/graph/ir';
import { findDemands, findFusions } from '../../../../src/passes/quantize/plan/demands';
import { storedAsFloat32 } from '../../../../src/passes/quantize/plan/storage';
import { windowAttrs } from '../../../support/float-graph';
import { randomOf } from '../../../support/random';
import { scopeOf } from '../../../support/region-scope';
import { conv, image } from '../../../support/small-network';

const random = randomOf('storage', 0);

function floatsOf(graph: Graph, ...requested: [] | [Map<string, 'int16' | 'dynamic'>]): string[] {
  const scope = scopeOf(graph, ...requested);
  const demands = findDemands(scope);
  return [...storedAsFloat32(scope, demands, findFusions(scope, demands))];
}

test('the result of a layer that leaves the region is float32, what another layer reads is codes', () => {
  expect(floatsOf(conv(conv(image(random), 'a', 'image'), 'b', 'a').build('b'))).toEqual(['b:0']);
});

test('logits before a softmax are float32, through a reshape too', () => {
  const graph = conv(image(random), 'a', 'image')
    .constant('shape', [2], [-1, 256], 'int32')
    .node('flat', 'Reshape', ['a', 'shape'])
    .node('probabilities', 'Softmax', ['flat'])
    .build('probabilities');
  expect(floatsOf(graph)).toEqual(['probabilities:0', 'flat:0', 'a:0']);
});

test('and are codes where another op reads them as codes', () => {
  const graph = conv(image(random), 'a', 'image').node('probabilities', 'Softmax', ['a']);
  expect(floatsOf(conv(graph, 'b', 'a').build('probabilities', 'b'))).toEqual(['b:0', 'probabilities:0']);
});

test('a fused clamp can be stored as float32, a table and a maximum pool cannot', () => {
  const clamp = conv(image(random), 'a', 'image').node('y', 'Relu', ['a']).build('y');
  expect(floatsOf(clamp)).toEqual(['y:0']);
  const table = conv(image(random), 'a', 'image').node('y', 'Elu', ['a']).build('y');
  expect(floatsOf(table)).toEqual([]);
  const pool = conv(image(random), 'a', 'image').node('y', 'MaxPool', ['a'], windowAttrs({ ksize: 2 }));
  expect(floatsOf(pool.build('y'))).toEqual([]);
});

test('what a layer with int16 activations reads is float32', () => {
  const graph = conv(conv(image(random), 'a', 'image'), 'b', 'a').build('b');
  expect(floatsOf(graph, new Map([['b', 'int16']]))).toEqual(['b:0', 'a:0']);
});
