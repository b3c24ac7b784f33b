import { matchReshape, RENAMES } from '../../../../src/passes/quantize/match/reshape';
import type { FloatGraph } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('reshape', 0);
const ints = (graph: FloatGraph, name: string, values: number[], shape = [values.length]) =>
  graph.constant(name, shape, values, 'int32');

test('ops that rename dimensions', () => {
  expect([...RENAMES]).toEqual(['Reshape', 'Squeeze', 'ExpandDims']);
  const reshape = matchOp(
    matchReshape,
    (g) => ints(g, 's', [-1, 36, 4]).node('op', 'Reshape', ['x', 's']),
    random,
  );
  expect(reshape).toMatchObject({ kind: 'reshape' });
});
