import type { Graph } from '../../../../src/graph/ir';
import type { ActivationPrecision } from '../../../../src/passes/quantize/match/quantizable';
import { floatInOutNodes } from '../../../../src/passes/quantize/plan/float-in-out-nodes';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('float-in-out-nodes', 0);

const nodesOf = (graph: Graph, layers: [string, ActivationPrecision][]) =>
  Object.fromEntries(floatInOutNodes(graph, planQuantization(graph), new Map(layers)));

test('a layer that can store float32 need not run on float32 for the next one', () => {
  const graph = conv(conv(image(random), 'a', 'image', 'Relu'), 'b', 'a').build('b');
  expect(nodesOf(graph, [['b', 'int16']])).toEqual({ b: 'int16' });
});

test('a table before a layer does, but not the op that it is fused into', () => {
  const graph = conv(image(random), 'a', 'image').node('elu', 'Elu', ['a']);
  expect(nodesOf(conv(graph, 'b', 'elu').build('b'), [['b', 'int16']])).toEqual({ b: 'int16', elu: 'int16' });
});

test('a sum before a layer does: it stores codes only', () => {
  const graph = conv(image(random), 'a', 'image').node('sum', 'AddV2', ['a', 'image']);
  expect(nodesOf(conv(graph, 'b', 'sum').build('b'), [['b', 'dynamic']])).toEqual({
    b: 'dynamic',
    sum: 'dynamic',
  });
});

test('a node that serves two layers has the precision of the first', () => {
  const graph = conv(image(random), 'a', 'image').node('sum', 'AddV2', ['a', 'image']);
  const both = conv(conv(graph, 'b', 'sum'), 'c', 'sum').build('b', 'c');
  const layers: [string, ActivationPrecision][] = [
    ['c', 'dynamic'],
    ['b', 'int16'],
  ];
  expect(nodesOf(both, layers)).toEqual({ b: 'int16', c: 'dynamic', sum: 'dynamic' });
});
