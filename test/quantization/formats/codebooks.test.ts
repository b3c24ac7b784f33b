import { fromFloat16Bits } from '../../../src/base/float16';
import { gaussian } from '../../../src/quantization/distributions';
import { decodeMatrix } from '../../../src/quantization/formats/decode';
import { encodeMatrix } from '../../../src/quantization/formats/encode';
import type { FormatName } from '../../../src/quantization/formats/format';
import { formatNamed } from '../../../src/quantization/formats/registry';
import { maxError, normalisedError } from '../../../src/quantization/metrics';
import { forEachCase } from '../../support/random';

/** Weights of one scale, in real units per level, so that the encoder finds it exactly. */
function onGrid(levels: readonly number[], step: number): Float32Array {
  return Float32Array.from(levels, (level) => level * step);
}

describe('golden bytes', () => {
  /** The codes 0, 1, 2, ... of a format in its own order; the largest weight decides the power of two of the unit. */
  const cases: [FormatName, { codes: number[]; scale: number; unit: number }][] = [
    ['uniform2', { codes: [0b11100100], scale: 0x7000, unit: 2 ** -14 }],
    ['lloyd2', { codes: [0b11100100], scale: 0x6800, unit: 2 ** -12 }],
    ['uniform3', { codes: [0x88, 0xc6, 0xfa], scale: 0x6c00, unit: 2 ** -13 }],
    ['uniform4', { codes: [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe], scale: 0x6800, unit: 2 ** -12 }],
    ['int4', { codes: [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe], scale: 0x6c00, unit: 2 ** -13 }],
  ];

  test.each(cases)('%s', (name, { codes, scale, unit }) => {
    const { levels } = formatNamed(name);
    const matrix = encodeMatrix(name, onGrid(levels, 0.5), 1, levels.length);
    expect([...matrix.codes]).toEqual(codes);
    expect([...matrix.scales]).toEqual([scale]);
    expect(matrix.unit).toBe(unit);
    expect([...matrix.levels]).toEqual([...levels, ...Array(16 - levels.length).fill(0)]);
    expect(decodeMatrix(matrix)).toEqual(onGrid(levels, 0.5));
  });

  test.each([
    ['pi2', 2, [0b11100100], 0x7300],
    ['pi2', 3, [0b11100100], 0x7300],
    ['pi3', 4, [0x88, 0xc6, 0xfa], 0x6f00],
    ['pi3', 5, [0x88, 0xc6, 0xfa], 0x6f00],
  ] as const)('%s with k = %d', (name, k, codes, scale) => {
    const { levels } = formatNamed(name);
    const alpha = 0.4375;
    const step = Math.fround((alpha * Math.PI) / k);
    const matrix = encodeMatrix(name, onGrid(levels, step), 1, levels.length, { k });
    expect([...matrix.codes]).toEqual(codes);
    expect([...matrix.scales]).toEqual([scale]);
    const power = Math.round(Math.log2(matrix.unit / (Math.PI / k)));
    expect(matrix.unit).toBe(Math.fround((Math.PI / k) * 2 ** power));
    expect(fromFloat16Bits(scale) * 2 ** power).toBe(alpha);
    expect(maxError(onGrid(levels, step), decodeMatrix(matrix))).toBeLessThan(1e-6);
  });
});

describe('error on N(0, 1) in groups of 128', () => {
  const values = gaussian(256 * 1024, 1);
  // What the best scale of a whole matrix gives (Max 1960, tables I and II), less what a scale of each group gains.
  test.each<[FormatName, number, number]>([
    ['int4', 0.0098, 0.0105],
    ['uniform4', 0.0095, 0.0102],
    ['pi3', 0.037, 0.0395],
    ['uniform3', 0.034, 0.036],
    ['pi2', 0.143, 0.1494],
    ['uniform2', 0.114, 0.1175],
    ['lloyd2', 0.112, 0.116],
  ])('%s', (name, least, most) => {
    const error = normalisedError(values, decodeMatrix(encodeMatrix(name, values, 256, 1024)));
    expect(error).toBeGreaterThan(least);
    expect(error).toBeLessThan(most);
  });
});

describe('pi formats', () => {
  /** The least squared error of the grid levels * s over all s, by trying many. */
  function bestGridError(values: Float32Array, levels: readonly number[]): number {
    const max = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    let best = Number.POSITIVE_INFINITY;
    for (let step = max / 8; step < 2 * max; step *= 1.005) {
      const error = values.reduce((sum, value) => {
        const code = Math.min(levels.at(-1)!, Math.max(levels[0], Math.round(value / step)));
        return sum + (value - code * step) ** 2;
      }, 0);
      best = Math.min(best, error);
    }
    return best;
  }

  test('are the lopsided uniform grid with a free scale, whatever k is', async () => {
    await forEachCase('pi', 5, (random) => {
      const values = Float32Array.from({ length: 128 }, () => random.real(-1, 1) ** 3);
      for (const name of ['pi2', 'pi3'] as const) {
        const best = bestGridError(values, formatNamed(name).levels);
        for (const k of [2, 3, 4, 5]) {
          const decoded = decodeMatrix(encodeMatrix(name, values, 1, 128, { k }));
          const error = values.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0);
          expect(error / best).toBeLessThan(1.0001);
          expect(error / best).toBeGreaterThan(0.995);
        }
      }
    });
  });

  test.each([1, 6, 2.5, Number.NaN])('refuse k = %d', (k) => {
    expect(() => encodeMatrix('pi2', Float32Array.of(1), 1, 1, { k })).toThrow(
      `Expected 2, 3, 4 or 5 for k but received ${k}.`,
    );
  });

  test('alone have a k', () => {
    expect(() => encodeMatrix('int4', Float32Array.of(1), 1, 1, { k: 3 })).toThrow(
      'Expected none for int4, which has no divisor, for k but received 3.',
    );
  });
});

test('importance moves the error to the inputs that count less', () => {
  const values = gaussian(64 * 128, 1);
  const importance = Float64Array.from({ length: 128 }, (_, k) => (k < 64 ? 100 : 1));
  const weighted = (options: { importance?: Float64Array }) => {
    const decoded = decodeMatrix(encodeMatrix('uniform2', values, 64, 128, options));
    return values.reduce((sum, value, i) => sum + importance[i % 128] * (value - decoded[i]) ** 2, 0);
  };
  expect(weighted({ importance })).toBeLessThan(0.98 * weighted({}));
});

test('an input that calibration never saw keeps sensible weights', () => {
  const values = gaussian(128, 1);
  const importance = new Float64Array(128).fill(1, 0, 32);
  const decoded = decodeMatrix(encodeMatrix('uniform4', values, 1, 128, { importance, group: 32 }));
  expect(normalisedError(values.subarray(96), decoded.subarray(96))).toBeLessThan(0.02);
});

describe('extremes', () => {
  test.each(['int4', 'pi2', 'pi3', 'uniform2', 'lloyd2'] as const)('zeros stay zeros: %s', (name) => {
    const matrix = encodeMatrix(name, new Float32Array(2 * 40), 2, 40, { group: 32 });
    expect([...decodeMatrix(matrix)].every((value) => value === 0)).toBe(true);
  });

  test.each([1e-38, 1e-3, 1e20, 3.4e38])('weights as small or large as %d', (magnitude) => {
    const values = Float32Array.of(-magnitude, magnitude, magnitude, -magnitude);
    const decoded = decodeMatrix(encodeMatrix('uniform2', values, 1, 4));
    for (let i = 0; i < 4; i++) expect(Math.abs(decoded[i] / values[i] - 1)).toBeLessThan(1e-3);
  });

  test('groups of very different size in one matrix', () => {
    const values = gaussian(256, 1).map((v, i) => (i < 128 ? v : v * 1e-6));
    const decoded = decodeMatrix(encodeMatrix('int4', values, 1, 256));
    expect(normalisedError(values.subarray(128), decoded.subarray(128))).toBeLessThan(0.012);
  });

  test('refuses what is no matrix of finite numbers', () => {
    const one = Float32Array.of(1, Number.NaN);
    expect(() => encodeMatrix('int4', one, 1, 2)).toThrow(
      'Expected a finite number for values[1] but received NaN.',
    );
    expect(() => encodeMatrix('int4', one, 1, 3)).toThrow(
      'Expected 1 x 3 for the length of values but received 2.',
    );
    expect(() => encodeMatrix('int4', one, 0, 2)).toThrow(
      'Expected a positive integer for rows but received 0.',
    );
    expect(() => encodeMatrix('int4', one, 1, 2, { group: 48 })).toThrow(
      'Expected 0 or a multiple of 32 for group but received 48.',
    );
    expect(() => encodeMatrix('pi5' as FormatName, one, 1, 2)).toThrow(
      /^Expected one of int4, .* received 'pi5'/,
    );
    expect(() => encodeMatrix('int4', one, 1, 2, { importance: Float64Array.of(1, -1) })).toThrow(
      'Expected a finite number of at least 0 for importance[1] but received -1.',
    );
  });
});
