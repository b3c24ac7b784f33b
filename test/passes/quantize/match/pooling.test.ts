import { attr } from '../../../../src/graph/attrs';
import { matchPooling } from '../../../../src/passes/quantize/match/pooling';
import { type FloatGraph, windowAttrs } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('pooling', 0);
const match = (build: (graph: FloatGraph) => FloatGraph) => matchOp(matchPooling, build, random);
const axes = (graph: FloatGraph, values: number[]) =>
  graph.constant('axes', [values.length], values, 'int32');

test('a maximum selects, an average and a mean over the image compute new values', () => {
  const pool = (op: string) => match((g) => g.node('op', op, ['x'], windowAttrs({ ksize: 2 })));
  expect(pool('MaxPool')).toMatchObject({ kind: 'selecting' });
  expect(pool('AvgPool')).toMatchObject({ kind: 'averaging' });
  expect(match((g) => axes(g, [2, 1]).node('op', 'Mean', ['x', 'axes']))).toMatchObject({
    kind: 'averaging',
  });
  expect(match((g) => axes(g, [-2, -3]).node('op', 'Mean', ['x', 'axes']))).toMatchObject({
    kind: 'averaging',
  });
});

test.each<[string, (graph: FloatGraph) => FloatGraph, string]>([
  [
    'a mean over channels',
    (g) => axes(g, [3]).node('op', 'Mean', ['x', 'axes']),
    'it is not a mean over height and width',
  ],
  [
    'a pool of channels',
    (g) => g.node('op', 'MaxPool', ['x'], { ...windowAttrs(), ksize: attr.ints([1, 2, 2, 2]) }),
    'it pools over the batch or the channels',
  ],
  [
    'NCHW data',
    (g) => g.node('op', 'AvgPool', ['x'], { ...windowAttrs({ ksize: 2 }), data_format: attr.string('NCHW') }),
    'its data format is not NHWC',
  ],
])('%s cannot be quantized', (_, build, reason) => {
  expect(match(build)).toBe(reason);
});

test('other ops are for other matchers', () => {
  expect(match((g) => g.node('op', 'Relu', ['x']))).toBeUndefined();
});
