import type { Graph } from '../../../../src/graph/ir';
import { findDemands, findFusions } from '../../../../src/passes/quantize/plan/demands';
import { orderSteps, shareRanges } from '../../../../src/passes/quantize/plan/steps';
import { storedAsFloat32 } from '../../../../src/passes/quantize/plan/storage';
import { randomOf } from '../../../support/random';
import { scopeOf } from '../../../support/region-scope';
import { conv, image } from '../../../support/small-network';

const random = randomOf('steps', 0);

function stepsOf(graph: Graph, ...requested: [] | [Map<string, 'int16' | 'dynamic'>]) {
  const scope = scopeOf(graph, ...requested);
  const demands = findDemands(scope);
  const fused = findFusions(scope, demands);
  const steps = orderSteps(scope, { demands, fused, floats: storedAsFloat32(scope, demands, fused) });
  return { steps, shared: shareRanges(scope, demands, steps) };
}

test('a function is in the store of the op before it, or a table where that op is read elsewhere', () => {
  const graph = conv(image(random), 'a', 'image').node('elu', 'Elu', ['a']);
  const { steps: fused } = stepsOf(conv(graph, 'b', 'elu').build('b'));
  expect(fused.map(({ kind }) => kind)).toEqual(['op', 'op']);
  expect(fused[0]).toMatchObject({ node: { name: 'a' }, store: { result: { node: 'elu' }, float: false } });
  const both = conv(image(random), 'a', 'image').node('elu', 'Elu', ['a']);
  const { steps } = stepsOf(conv(conv(both, 'b', 'elu'), 'c', 'a').build('b', 'c'));
  expect(steps.map(({ kind }) => kind).sort()).toEqual(['lookup', 'op', 'op', 'op']);
  const table = steps.find((step) => step.kind === 'lookup')!;
  expect([table.f(-1), table.f(2)]).toEqual([Math.expm1(-1), 2]);
});

test('a layer on float32 takes the clamp after it, with its own precision', () => {
  const graph = conv(image(random), 'a', 'image').node('relu6', 'Relu6', ['a']).build('relu6');
  const precisions = new Map([
    ['a', 'dynamic'],
    ['relu6', 'dynamic'],
  ] as const);
  const { steps } = stepsOf(graph, precisions);
  expect(steps).toMatchObject([
    {
      kind: 'floatInOut',
      node: { name: 'a' },
      result: { node: 'relu6' },
      form: { precision: 'dynamic', clamp: [0, 6] },
    },
  ]);
});

test('parts of nested concatenations share the range of the outermost', () => {
  const axis = conv(conv(image(random), 'a', 'image'), 'b', 'image').constant('axis', [], [3], 'int32');
  const graph = conv(axis, 'c', 'image')
    .node('inner', 'ConcatV2', ['a', 'b', 'axis'])
    .node('outer', 'ConcatV2', ['inner', 'c', 'axis'])
    .weights('w', [1, 1, 12, 4])
    .node('y', 'Conv2D', ['outer', 'w'], {
      padding: { s: 'VkFMSUQ=' },
      strides: { list: { i: ['1', '1', '1', '1'] } },
    });
  const { shared } = stepsOf(graph.build('y'));
  expect(Object.fromEntries([...shared].map(([key, { node }]) => [key, node]))).toEqual({
    'inner:0': 'outer',
    'c:0': 'outer',
    'a:0': 'outer',
    'b:0': 'outer',
  });
});
