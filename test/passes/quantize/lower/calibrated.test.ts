import { Calibrated } from '../../../../src/passes/quantize/lower/calibrated';
import { chooseAffine } from '../../../../src/quantization/affine';
import { observedKey } from '../../../../src/quantization/observations';
import { ref } from '../../../support/program-of';

const rotation = { block: 64, seed: 3 };

const calibrated = new Calibrated(
  {
    ranges: new Map([
      ['a:0', { min: -1, max: 1 }],
      ['both:0', { min: -2, max: 6 }],
      [observedKey({ ref: ref('a'), rotation }), { min: -3, max: 2 }],
    ]),
    means: new Map([['a:0', Float64Array.of(0.5)]]),
  },
  new Map([['b:0', ref('both')]]),
);

test('scale and zero point come from the range of the tensor, or of the one that it shares', () => {
  expect(calibrated.params(ref('a'))).toEqual(chooseAffine({ min: -1, max: 1 }));
  expect(calibrated.range(ref('b'))).toEqual({ min: -2, max: 6 });
  expect(calibrated.params(ref('b'))).toEqual(calibrated.params(ref('both')));
});

test('a rotated tensor has symmetric codes of the larger bound', () => {
  expect(calibrated.rotatedParams(ref('a'), rotation)).toEqual({
    scale: Math.fround(3 / 127),
    zeroPoint: 0,
  });
});

test('what was not observed is absent', () => {
  expect(calibrated.means(ref('a'))).toEqual(Float64Array.of(0.5));
  expect(calibrated.means(ref('b'))).toBeUndefined();
  expect(calibrated.quantizedMeans(ref('a'))).toBeUndefined();
  expect(calibrated.grid(ref('a'))).toBeUndefined();
});
