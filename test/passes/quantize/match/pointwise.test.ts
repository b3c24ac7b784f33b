import { attr } from '../../../../src/graph/attrs';
import { arithmetic, matchPointwise } from '../../../../src/passes/quantize/match/pointwise';
import type { PointwiseFunction } from '../../../../src/passes/quantize/match/quantizable';
import { execute, FloatGraph } from '../../../support/float-graph';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('pointwise', 0);
const X = [-9, -3, -1, -0.3, 0, 0.2, 0.9, 2, 5, 7];

type Build = (graph: FloatGraph) => FloatGraph;

const scalar = (graph: FloatGraph, value: number) => graph.constant('c', [], [value]);

const FUNCTIONS: [string, Build, readonly [number, number] | undefined][] = [
  ['Relu', (g) => g.node('op', 'Relu', ['x']), [0, Number.POSITIVE_INFINITY]],
  ['Relu6', (g) => g.node('op', 'Relu6', ['x']), [0, 6]],
  ...['Sigmoid', 'Tanh', 'Elu', 'Softplus', 'Selu', 'Neg', 'Abs', 'Square', 'Erf'].map(
    (op): [string, Build, undefined] => [op, (g) => g.node('op', op, ['x']), undefined],
  ),
  ['LeakyRelu', (g) => g.node('op', 'LeakyRelu', ['x'], { alpha: attr.float(0.3) }), undefined],
  [
    'ClipByValue',
    (g) =>
      g.constant('min', [], [-1]).constant('max', [], [2]).node('op', 'ClipByValue', ['x', 'min', 'max']),
    [-1, 2],
  ],
  ['Mul', (g) => scalar(g, -2.5).node('op', 'Mul', ['x', 'c']), undefined],
  ['Sub', (g) => scalar(g, 1.5).node('op', 'Sub', ['x', 'c']), undefined],
  ['Sub from a constant', (g) => scalar(g, 1.5).node('op', 'Sub', ['c', 'x']), undefined],
  ['RealDiv', (g) => scalar(g, 4).node('op', 'RealDiv', ['x', 'c']), undefined],
  ['Maximum', (g) => scalar(g, 0.5).node('op', 'Maximum', ['c', 'x']), undefined],
];

test.each(FUNCTIONS)('%s is the function that TF.js computes', async (_, build, clamp) => {
  const matched = matchOp(matchPointwise, build, random) as PointwiseFunction;
  expect(matched).toMatchObject({ kind: 'pointwise', activations: [{ node: 'x', index: 0 }] });
  expect(matched.clamp).toEqual(clamp);
  const graph = build(new FloatGraph(random).input('x', [X.length])).build('op');
  const [{ values }] = await execute(graph, { x: { shape: [X.length], values: Float32Array.from(X) } });
  X.forEach((x, i) => {
    expect(matched.f(Math.fround(x))).toBeCloseTo(values[i], 5);
  });
});

test('functions of small results are computed in float at the end of a model', () => {
  const squashes = (op: string) =>
    (matchOp(matchPointwise, (g) => g.node('op', op, ['x']), random) as PointwiseFunction).squashes;
  expect(['Sigmoid', 'Tanh', 'Softplus', 'Relu', 'Elu'].map(squashes)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});

test('a constant of many values, or of more dimensions, is no scalar', () => {
  const vector = matchOp(matchPointwise, (g) => g.weights('c', [4]).node('op', 'Mul', ['x', 'c']), random);
  expect(vector).toBeUndefined();
  const rank5 = matchOp(
    matchPointwise,
    (g) => g.weights('c', [1, 1, 1, 1, 1]).node('op', 'Mul', ['x', 'c']),
    random,
  );
  expect(rank5).toBe('the shape of its input is not known, or its constant adds dimensions');
});

test('the function of two numbers behind an element-wise op', () => {
  const f = (op: string) => arithmetic({ name: 'op', op, inputs: [], attrs: {} });
  expect(f('RealDiv')!(3, 4)).toBe(0.75);
  expect(f('Minimum')!(3, 4)).toBe(3);
  expect(f('Pow')).toBeUndefined();
});
