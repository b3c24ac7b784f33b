import {
  appendFloatAffine,
  appendFloatFunction,
} from '../../../../src/passes/quantize/lower/float-functions';
import { appendInput } from '../../../../src/passes/quantize/lower/input';
import { FloatFunctionKind, OpKind } from '../../../../src/program/program';
import { builderOf, ref, valuesOf } from '../../../support/program-of';

const SHAPE = [2, 3];
const X = [-2, -0.5, 0, 0.25, 1, 8];

function compute(append: (builder: ReturnType<typeof builderOf>) => void): number[] {
  const builder = builderOf({ x: { shape: SHAPE }, y: { shape: SHAPE } });
  appendInput(builder, ref('x'), false);
  append(builder);
  builder.output(ref('y'));
  return valuesOf(builder, [{ shape: SHAPE, values: X }])[builder.build().outputs[0]];
}

test('a factor and a summand a channel, clamped', () => {
  const factor = Float32Array.of(1, 2, -1);
  const summand = Float32Array.of(0, 0.5, 1);
  const y = compute((builder) =>
    appendFloatAffine(builder, 'y', ref('x'), ref('y'), { factor, summand, clamp: [-1, 4] }),
  );
  expect(y).toEqual(X.map((x, i) => Math.min(Math.max(x * factor[i % 3] + summand[i % 3], -1), 4)));
});

test('a gate multiplies by its argument: hard-swish is x * clamp(x / 6 + 0.5, 0, 1)', () => {
  const factor = Float32Array.of(0.25);
  const summand = Float32Array.of(0.5);
  const affine = { kind: OpKind.FloatGate as const, factor, summand, clamp: [0, 1] as const };
  const y = compute((builder) => appendFloatAffine(builder, 'y', ref('x'), ref('y'), affine));
  expect(y).toEqual(X.map((x) => x * Math.min(Math.max(x * 0.25 + 0.5, 0), 1)));
});

test.each([
  [FloatFunctionKind.Abs, Math.abs],
  [FloatFunctionKind.Tanh, Math.tanh],
  [FloatFunctionKind.Sigmoid, (x: number) => 1 / (1 + Math.exp(-x))],
  [FloatFunctionKind.Elu, (x: number) => (x < 0 ? Math.expm1(x) : x)],
  [FloatFunctionKind.Swish, (x: number) => x / (1 + Math.exp(-x))],
])('the named function %p', (kind, f) => {
  const y = compute((builder) => appendFloatFunction(builder, 'y', ref('x'), ref('y'), kind));
  X.forEach((x, i) => {
    expect(y[i]).toBeCloseTo(f(x), 5);
  });
});
