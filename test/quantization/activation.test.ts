import {
  ACTIVATION_NAMES,
  activationFunction,
  clampBounds,
  clampCodes,
  lookupTable,
  quantizeValue,
  roundHalfToEven,
} from '../../src/quantization/activation';

test('rounds half to even', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6].map(roundHalfToEven)).toEqual([0, 2, 2, 0, -2, 2, -3]);
});

test('codes are clamped, infinities too', () => {
  const params = { scale: 0.5, zeroPoint: 10 };
  expect(quantizeValue(1, params)).toBe(12);
  expect(clampCodes([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY], params)).toEqual({
    codeMin: -128,
    codeMax: 127,
  });
  expect(clampCodes([0, 6], params)).toEqual({ codeMin: 10, codeMax: 22 });
});

test('a function that clamps is the clamp, at its bounds and beyond', () => {
  for (const name of ACTIVATION_NAMES) {
    const bounds = clampBounds(name);
    if (!bounds) continue;
    const f = activationFunction(name);
    for (const x of [-100, -0.1, 0, 3, 6, 7]) expect(f(x)).toBe(Math.min(Math.max(x, bounds[0]), bounds[1]));
  }
});

test('a table maps each code by the function between real values', () => {
  const input = { scale: 0.1, zeroPoint: -3 };
  const output = { scale: 1 / 255, zeroPoint: -128 };
  const table = lookupTable(activationFunction('sigmoid'), input, output);
  for (const code of [-128, -3, 0, 50, 127]) {
    const real = 1 / (1 + Math.exp(-(code + 3) * 0.1));
    expect(Math.abs((table[code + 128] + 128) / 255 - real)).toBeLessThanOrEqual(0.5 / 255 + 1e-9);
  }
});
