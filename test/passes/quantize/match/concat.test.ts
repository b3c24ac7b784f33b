import { matchConcat } from '../../../../src/passes/quantize/match/concat';
import type { FloatGraph } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('concat', 0);
type Build = (graph: FloatGraph) => FloatGraph;
const ints = (graph: FloatGraph, name: string, values: number[], shape = [values.length]) =>
  graph.constant(name, shape, values, 'int32');

test('a concatenation of activations along a constant axis', () => {
  const concat = (build: Build) => matchOp(matchConcat, build, random);
  const twice: Build = (g) => ints(g, 'axis', [-1], []).node('op', 'ConcatV2', ['x', 'x', 'axis']);
  expect(concat(twice)).toMatchObject({ kind: 'concat', activations: [{ node: 'x' }, { node: 'x' }] });
  const constant: Build = (g) =>
    ints(g, 'axis', [0], []).weights('c', [1, 6, 6, 4]).node('op', 'ConcatV2', ['x', 'c', 'axis']);
  expect(concat(constant)).toBe('it concatenates a constant');
});
