import { matchPrelu } from '../../../../src/passes/quantize/match/prelu';
import type { PointwiseFunction } from '../../../../src/passes/quantize/match/quantizable';
import type { FloatGraph } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('prelu', 0);
type Build = (graph: FloatGraph) => FloatGraph;

test('a rectifier of a slope a channel is an op, of one slope a function', () => {
  const match = (build: Build) => matchOp(matchPrelu, build, random);
  expect(match((g) => g.weights('s', [4]).node('op', 'Prelu', ['x', 's']))).toMatchObject({ kind: 'prelu' });
  const single = match((g) =>
    g.constant('s', [1], [0.25]).node('op', 'Prelu', ['x', 's']),
  ) as PointwiseFunction;
  expect([single.kind, single.f(-2), single.f(3)]).toEqual(['pointwise', -0.5, 3]);
  expect(match((g) => g.weights('s', [6, 1, 4]).node('op', 'Prelu', ['x', 's']))).toBe(
    'its slope is not a constant for each channel',
  );
});
