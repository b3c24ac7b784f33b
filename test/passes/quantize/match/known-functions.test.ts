import {
  affineFunction,
  gateFunction,
  namedFunction,
} from '../../../../src/passes/quantize/match/known-functions';
import { FloatFunctionKind } from '../../../../src/program/program';
import { activationFunction } from '../../../../src/quantization/activation';

const { fround } = Math;
const relu6 = activationFunction('relu6');
const sigmoid = activationFunction('sigmoid');
const [least, most] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];

test.each<[string, (x: number) => number, number, number, readonly [number, number]]>([
  ['the identity', (x) => x, 1, 0, [least, most]],
  ['a product', (x) => x * 0.3, 0.3, 0, [least, most]],
  ['a tiny product', (x) => x * 1e-9, 1e-9, 0, [least, most]],
  ['a difference from a constant', (x) => 2 - x, -1, 2, [least, most]],
  ['relu', activationFunction('relu'), 1, 0, [0, most]],
  ['a minimum', (x) => Math.min(x, -0.5), 1, 0, [least, -0.5]],
  ['bounds that only large numbers meet', (x) => Math.min(Math.max(x, -1e5), 1e5), 1, 0, [-1e5, 1e5]],
  ['bounds close to zero', (x) => Math.min(Math.max(x, -1e-3), 1e-3), 1, 0, [-1e-3, 1e-3]],
  ['hard sigmoid', activationFunction('hard_sigmoid'), 1 / 6, 0.5, [0, 1]],
  ['hard sigmoid by 0.2', (x) => Math.min(Math.max(0.2 * x + 0.5, 0), 1), 0.2, 0.5, [0, 1]],
  ['a falling one with bounds', (x) => 3 - 2 * relu6(x), -2, 3, [-9, 3]],
])('%s is affine', (_, f, factor, summand, clamp) => {
  const affine = affineFunction(f)!;
  expect(affine.factor).toBeCloseTo(factor, 12);
  expect(affine.factor / factor).toBeCloseTo(1, 9);
  expect(affine.summand).toBeCloseTo(summand, 9);
  affine.clamp.forEach((bound, i) => void expect(bound).toBeCloseTo(clamp[i], 12));
});

test.each<[string, (x: number) => number]>([
  ['a constant', () => 3],
  ['a leaky rectifier', (x) => (x < 0 ? 0.1 * x : x)],
  ['a product of a function that bends', (x) => 1e-9 * Math.tanh(x)],
  ['two kinks on a slope', (x) => x + relu6(x)],
  ['a step', (x) => Math.sign(x)],
  ['a logarithm', (x) => Math.log(x)],
  ['elu', activationFunction('elu')],
  ['hard-swish', activationFunction('hard_swish')],
  ['a magnitude', Math.abs],
])('%s is not affine', (_, f) => {
  expect(affineFunction(f)).toBeUndefined();
});

test.each<[string, (x: number) => number, number]>([
  ['x * relu6(x + 3) / 6', (x) => (x * relu6(x + 3)) / 6, 1 / 6],
  ['x * (relu6(x + 3) * float32(1 / 6))', (x) => x * (relu6(x + 3) * fround(1 / 6)), fround(1 / 6)],
  ['(x * float16(1 / 6)) * relu6(x + 3)', (x) => x * 0.1666259765625 * relu6(x + 3), 0.1666259765625],
])('%s is a gate', (_, f, factor) => {
  const gate = gateFunction(f)!;
  expect(gate.factor).toBeCloseTo(factor, 9);
  expect(gate.summand).toBeCloseTo(3 * factor, 9);
  expect(gate.clamp).toEqual([0, expect.closeTo(6 * factor, 9)]);
});

test('no gate is what bends within', () => {
  for (const f of [activationFunction('swish'), activationFunction('elu'), Math.abs, Math.tanh])
    expect(gateFunction(f)).toBeUndefined();
});

test.each<[string, (x: number) => number, FloatFunctionKind | undefined]>([
  ['sigmoid', (x) => 1 / (1 + Math.exp(-x)), FloatFunctionKind.Sigmoid],
  ['sigmoid by tanh', (x) => 0.5 * Math.tanh(0.5 * x) + 0.5, FloatFunctionKind.Sigmoid],
  ['tanh by sigmoid', (x) => 2 * sigmoid(2 * x) - 1, FloatFunctionKind.Tanh],
  ['elu', activationFunction('elu'), FloatFunctionKind.Elu],
  ['a magnitude as a maximum', (x) => Math.max(x, -x), FloatFunctionKind.Abs],
  ['swish', (x) => x * sigmoid(x), FloatFunctionKind.Swish],
  ['swish with bounds far out', (x) => Math.min(x * sigmoid(x), 1e4), undefined],
  ['swish of a multiple', (x) => x * sigmoid(1.7 * x), undefined],
  ['mish', (x) => x * Math.tanh(activationFunction('softplus')(x)), undefined],
])('%s by its name', (_, f, kind) => {
  expect(namedFunction(f)).toBe(kind);
});
