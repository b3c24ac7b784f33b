import { matchElementwise } from '../../../../src/passes/quantize/match/elementwise';
import type { ChannelAffineOp } from '../../../../src/passes/quantize/match/quantizable';
import type { FloatGraph } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('elementwise', 0);
type Build = (graph: FloatGraph) => FloatGraph;

const C = [0.5, -2, 4, 8];

test.each<[string, string[], number[], number[]]>([
  ['Mul', ['x', 'c'], C, [0, 0, 0, 0]],
  ['AddV2', ['c', 'x'], [1, 1, 1, 1], C],
  ['Sub', ['x', 'c'], [1, 1, 1, 1], C.map((c) => -c)],
  ['Sub', ['c', 'x'], [-1, -1, -1, -1], C],
  ['RealDiv', ['x', 'c'], C.map((c) => 1 / c), [0, 0, 0, 0]],
])('%s of %p is a scale and a shift of each channel', (op, inputs, scale, shift) => {
  const matched = matchOp(matchElementwise, (g) => g.constant('c', [4], C).node('op', op, inputs), random);
  expect(matched).toMatchObject({ kind: 'channelAffine', activations: [{ node: 'x' }] });
  const { affine } = matched as ChannelAffineOp;
  expect([Array.from(affine.scale), Array.from(affine.shift)]).toEqual([scale, shift]);
});

test('two activations, or one and a constant of another shape, are an op of two tensors', () => {
  const match = (build: Build) => matchOp(matchElementwise, build, random);
  expect(match((g) => g.node('op', 'Mul', ['x', 'x']))).toMatchObject({ kind: 'elementwise' });
  const map = match((g) => g.weights('c', [6, 6, 1]).node('op', 'AddV2', ['x', 'c']));
  expect(map).toMatchObject({ kind: 'elementwise', activations: [{ node: 'x' }] });
  expect(match((g) => g.node('op', 'RealDiv', ['x', 'x']))).toBe(
    'RealDiv of two activations has no quantized form',
  );
});
