import { FORMATS, formatNamed } from '../../../src/quantization/formats/registry';
import { ScaleSearch } from '../../../src/quantization/formats/scale-search';
import { forEachCase } from '../../support/random';

/** max over all codings of (sum h w l)^2 / (sum h l^2): what the least squared error falls short of sum h w^2 by. */
function bestGain(values: Float32Array, importance: Float64Array, levels: readonly number[]): number {
  let best = 0;
  const visit = (i: number, products: number, squares: number): void => {
    if (i === values.length) {
      if (products > 0) best = Math.max(best, products ** 2 / squares);
      return;
    }
    for (const level of levels) {
      const h = importance[i];
      visit(i + 1, products + h * values[i] * level, squares + h * level ** 2);
    }
  };
  visit(0, 0, 0);
  return best;
}

function gainAt(
  scale: number,
  values: Float32Array,
  importance: Float64Array,
  levels: readonly number[],
): number {
  return values.reduce((sum, w, i) => {
    const error = Math.min(...levels.map((level) => (w - level * scale) ** 2));
    return sum + importance[i] * (w * w - error);
  }, 0);
}

test.each(FORMATS.filter((name) => formatNamed(name).levels.length < 16))(
  'finds the best of all codings: %s',
  async (name) => {
    const { levels } = formatNamed(name);
    const search = new ScaleSearch(levels, 8);
    await forEachCase(`scale ${name}`, 60, (random) => {
      const count = random.int(1, levels.length === 4 ? 6 : 4);
      const values = Float32Array.from({ length: count }, () =>
        random.chance(0.1) ? 0 : random.real(-1, 1) ** 3,
      );
      const importance = Float64Array.from({ length: count }, () => random.real(0.1, 2));
      const scale = search.find(values, importance);
      const best = bestGain(values, importance, levels);
      expect(gainAt(scale, values, importance, levels)).toBeCloseTo(best, 10);
    });
  },
);

test('is 0 for zeros', () => {
  expect(new ScaleSearch([-3, -1, 1, 3], 4).find(new Float32Array(4), new Float64Array(4).fill(1))).toBe(0);
});

test('does not depend on the order of the weights', async () => {
  await forEachCase('order', 20, (random) => {
    const search = new ScaleSearch([-10, -3, 3, 10], 64);
    const values = Float32Array.from({ length: 64 }, () => random.real(-1, 1));
    const ones = new Float64Array(64).fill(1);
    expect(search.find(values.slice().reverse(), ones)).toBe(search.find(values, ones));
  });
});
