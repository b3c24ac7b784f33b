import { appendInput } from '../../../../src/passes/quantize/lower/input';
import { appendLookup, storeResult, withoutSaturation } from '../../../../src/passes/quantize/lower/store';
import { TensorType } from '../../../../src/program/program';
import { activationFunction, clampCodes, lookupTable } from '../../../../src/quantization/activation';
import { chooseAffine } from '../../../../src/quantization/affine';
import { builderOf, ref, valuesOf } from '../../../support/program-of';

const sigmoid = activationFunction('sigmoid');
const RANGES = { x: { min: -4, max: 4 }, y: { min: 0, max: 1 } };

const builder = () =>
  builderOf({ x: { shape: [1, 9], range: RANGES.x }, y: { shape: [1, 9], range: RANGES.y } });

test('the ends of a range on which a function is constant are dropped', () => {
  const clamp = (x: number) => Math.min(Math.max(x, -1), 2);
  const { min, max } = withoutSaturation(clamp, { min: -8, max: 8 });
  expect(min).toBeCloseTo(-1, 1);
  expect(max).toBeCloseTo(2, 1);
  expect(min).toBeLessThanOrEqual(-1);
  expect(max).toBeGreaterThanOrEqual(2);
  expect(withoutSaturation((x) => x, { min: -8, max: 8 })).toEqual({ min: -8, max: 8 });
});

test('a result in float32 keeps its bounds', () => {
  const built = builder();
  const { output, activation } = storeResult(built, { result: ref('y'), float: true }, [0, 6]);
  expect(activation).toEqual({ floatMin: 0, floatMax: 6 });
  expect(built.build().tensors[output].type).toBe(TensorType.Float32);
});

test('a clamp is bounds of the codes, those of the op and of the function together', () => {
  const clamp = [0, 0.5] as const;
  const fused = { before: ref('x'), f: (x: number) => Math.min(Math.max(x, 0), 0.5), clamp };
  const { output, activation } = storeResult(builder(), { result: ref('y'), float: false, fused }, [0.25, 6]);
  expect(activation).toEqual(clampCodes([0.25, 0.5], chooseAffine(RANGES.y)));
  expect(output).toBe(0);
});

test('another function is a table over codes that cover its argument', () => {
  const built = builder();
  const fused = { before: ref('x'), f: sigmoid };
  const { activation } = storeResult(built, { result: ref('y'), float: false, fused });
  const before = chooseAffine(RANGES.x);
  expect(activation).toMatchObject({ preScale: before.scale, preZeroPoint: before.zeroPoint });
  const bytes = new Int8Array(built.weights.build().buffer, activation.tableOffset, 256);
  expect(bytes).toEqual(lookupTable(sigmoid, before, chooseAffine(RANGES.y)));
});

test('a table of its own computes the function to half a step of the result', () => {
  const built = builder();
  appendInput(built, ref('x'), true);
  appendLookup(built, ref('x'), ref('y'), sigmoid);
  built.output(ref('y'));
  const input = [-4, -3, -2, -1, 0, 1, 2, 3, 4];
  const output = built.build().outputs[0];
  const y = valuesOf(built, [{ shape: [1, 9], values: input }])[output];
  const step = chooseAffine(RANGES.y).scale;
  const inputStep = chooseAffine(RANGES.x).scale;
  y.forEach((value, i) => {
    // Sigmoid has a slope of at most 1 / 4.
    expect(Math.abs(value - sigmoid(input[i]))).toBeLessThanOrEqual(step / 2 + inputStep / 8 + 1e-6);
  });
});
