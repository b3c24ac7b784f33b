import { ChannelMeanObserver } from '../../src/calibration/observers/channel-mean';
import { EntropyObserver, leastDivergenceRange } from '../../src/calibration/observers/entropy';
import { GridObserver } from '../../src/calibration/observers/grid';
import { Histogram } from '../../src/calibration/observers/histogram';
import { CALIBRATION_METHODS, newObserver } from '../../src/calibration/observers/methods';
import { MinMaxObserver } from '../../src/calibration/observers/min-max';
import { MovingAverageObserver } from '../../src/calibration/observers/moving-average';
import { leastSquaresRange, MseObserver } from '../../src/calibration/observers/mse';
import { PercentileObserver } from '../../src/calibration/observers/percentile';
import { quantizeValue } from '../../src/quantization/activation';
import { chooseAffine, type Range } from '../../src/quantization/affine';
import { randomOf } from '../support/random';

const random = randomOf('observers', 0);
const draw = (count: number, min: number, max: number) =>
  Float32Array.from({ length: count }, () => random.real(min, max));

test('min-max keeps the bounds of all values', () => {
  const observer = new MinMaxObserver();
  expect(observer.range()).toBeUndefined();
  observer.observe(Float32Array.of(1, -2));
  observer.observe(Float32Array.of(5));
  expect(observer.range()).toEqual({ min: -2, max: 5 });
});

describe('the percentile observer', () => {
  test('leaves out the share of values at either end', () => {
    const observer = new PercentileObserver(99);
    for (let i = 0; i < 10; i++) observer.observe(draw(10_000, -1, 3));
    const { min, max } = observer.range()!;
    expect(min).toBeCloseTo(-1 + 0.04, 2);
    expect(max).toBeCloseTo(3 - 0.04, 2);
  });

  test('does not depend on the order of the data, though its range grows with it', () => {
    const batches = [draw(5000, 0, 0.01), draw(5000, -40, 50), draw(5000, -1, 1), draw(5000, 0, 4)];
    const rangeOf = (order: number[]) => {
      const observer = new PercentileObserver(99.5);
      for (const i of order) observer.observe(batches[i]);
      return observer.range()!;
    };
    const sorted = Float32Array.from(batches.flatMap((b) => [...b])).sort();
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [1, 0, 3, 2],
    ]) {
      const { min, max } = rangeOf(order);
      expect(Math.abs(min - sorted[100])).toBeLessThan(0.5);
      expect(Math.abs(max - sorted[sorted.length - 101])).toBeLessThan(0.5);
    }
  });

  test('cuts a lone outlier', () => {
    const observer = new PercentileObserver(99.99);
    observer.observe(draw(100_000, -1, 1));
    observer.observe(Float32Array.of(1000));
    expect(observer.range()!.max).toBeLessThan(1.2);
  });

  test('does not count zeros', () => {
    const observer = new PercentileObserver(90);
    observer.observe(new Float32Array(100_000));
    observer.observe(draw(1000, 1, 2));
    expect(observer.range()!.max).toBeGreaterThan(1.8);
  });

  test('keeps all at 100, and knows a tensor of zeros', () => {
    const all = new PercentileObserver(100);
    all.observe(Float32Array.of(-3, 7, 7.5));
    expect(all.range()).toEqual({ min: -3, max: 7.5 });
    const zeros = new PercentileObserver(99.99);
    zeros.observe(new Float32Array(4));
    expect(zeros.range()).toEqual({ min: 0, max: 0 });
  });
});

describe('the moving average observer', () => {
  test('averages the bounds of the first hundred samples', () => {
    const observer = new MovingAverageObserver();
    expect(observer.range()).toBeUndefined();
    observer.observe(Float32Array.of(-1, 2));
    observer.observe(Float32Array.of(-3, 0, 10));
    const { min, max } = observer.range()!;
    expect([min, max]).toEqual([-2, 6]);
  });

  test('gives later ones a hundredth of a say each', () => {
    const observer = new MovingAverageObserver();
    for (let i = 0; i < 100; i++) observer.observe(Float32Array.of(0, 1));
    observer.observe(Float32Array.of(0, 101));
    observer.observe(Float32Array.of(0, 102));
    expect(observer.range()!.max).toBeCloseTo(2 + 0.01 * (102 - 2), 9);
  });
});

/** Normally distributed numbers, by Box and Muller. */
function normal(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.real(0, 1)));
    return radius * Math.cos(2 * Math.PI * random.real(0, 1));
  });
}

function squaredError(values: Float32Array, range: Range): number {
  const params = chooseAffine(range);
  return values.reduce((sum, value) => {
    const restored = (quantizeValue(value, params) - params.zeroPoint) * params.scale;
    return sum + (value - restored) ** 2;
  }, 0);
}

/** The least error of INT8 codes over pairs of bounds, each a share of the observed one. */
function leastError(values: Float32Array, { min, max }: Range, shares: number[]): number {
  const [below, above] = [Math.min(min, 0), Math.max(max, 0)];
  const errors = shares.flatMap((low) => shares.map((high) => ({ min: below * low, max: above * high })));
  return Math.min(...errors.map((range) => squaredError(values, range)));
}

const SHARES = Array.from({ length: 20 }, (_, i) => (i + 1) / 20);

describe('the MSE observer', () => {
  const cases: [string, Float32Array][] = [
    ['normal', normal(2000)],
    ['rectified normal', normal(2000).map((x) => Math.max(x, 0))],
    ['negative', normal(2000).map((x) => -Math.abs(x) - 1)],
    ['lopsided', normal(2000).map((x) => (x > 0 ? x ** 3 : x))],
    ['with outliers', Float32Array.from([...normal(2000), 40, -25])],
  ];
  test.each(cases)('is as good as trying all ranges on the values themselves: %s', (_, values) => {
    const observer = new MseObserver();
    observer.observe(values);
    const range = observer.range()!;
    const all = new MinMaxObserver();
    all.observe(values);
    const least = leastError(values, all.range()!, SHARES);
    expect(squaredError(values, range)).toBeLessThan(1.02 * least);
  });

  test('weighs clipping one value against rounding the others', () => {
    // Many values at 0.5 and one at 1.5: rounding step^2 / 12 in either range against clipping (1.5 - 1)^2.
    const even = (0.25 - (2 / 255) ** 2 / 12) / (((2 / 255) ** 2 - (1 / 255) ** 2) / 12);
    const found = (many: number) => leastSquaresRange({ low: 0, width: 1, counts: Float64Array.of(many, 1) });
    expect(found(0.99 * even)).toEqual({ min: 0, max: 2 });
    expect(found(1.01 * even)).toEqual({ min: 0, max: 1 });
  });
});

describe('the entropy observer', () => {
  /** The definition, as it is written: P with what lies beyond at its ends, Q spread over the non-zero bins. */
  function relativeEntropy(counts: number[], start: number, end: number, codes: number): number {
    const p = counts.slice(start, end);
    p[0] += counts.slice(0, start).reduce((a, b) => a + b, 0);
    p[p.length - 1] += counts.slice(end).reduce((a, b) => a + b, 0);
    const code = p.map((_, i) => Math.floor((i * codes) / p.length));
    const q = p.map((value, i) => {
      const same = p.map((_, j) => j).filter((j) => code[j] === code[i] && p[j] > 0);
      return value > 0 ? same.reduce((sum, j) => sum + counts[start + j], 0) / same.length : 0;
    });
    const [sumP, sumQ] = [p, q].map((values) => values.reduce((a, b) => a + b, 0));
    return p.reduce(
      (sum, value, i) => (value > 0 ? sum + (value / sumP) * Math.log(value / sumP / (q[i] / sumQ)) : sum),
      0,
    );
  }

  test.each([0, 5, 12])('finds the smallest divergence by the definition, zero at bin %d', (zero) => {
    const codes = 4;
    for (let run = 0; run < 20; run++) {
      const counts = Array.from({ length: 24 }, (_, i) =>
        Math.floor(random.real(0, 400 / (1 + Math.abs(i - zero)))),
      );
      counts[0]++;
      counts[23]++;
      const candidates = Array.from({ length: 24 }, (_, i) => i + 1)
        .map((t): [number, number] => [Math.max(0, zero - t), Math.min(24, zero + t)])
        .filter(([start, end]) => end - start >= codes)
        .map(([start, end]) => ({ start, end, entropy: relativeEntropy(counts, start, end, codes) }));
      const least = Math.min(...candidates.map(({ entropy }) => entropy));
      const { min, max } = leastDivergenceRange(
        { low: -zero * 0.5, width: 0.5, counts: Float64Array.from(counts) },
        codes,
      );
      const [start, end] = [min / 0.5 + zero, max / 0.5 + zero];
      expect(relativeEntropy(counts, start, end, codes)).toBeCloseTo(least, 12);
    }
  });

  test('cuts a lone outlier of a rectified tensor, and keeps a uniform one', () => {
    const outlier = new EntropyObserver();
    outlier.observe(normal(20_000).map(Math.abs));
    outlier.observe(Float32Array.of(30));
    const { min, max } = outlier.range()!;
    expect(min).toBeCloseTo(0, 3);
    expect(max).toBeGreaterThan(2.5);
    expect(max).toBeLessThan(8);
    const uniform = new EntropyObserver();
    uniform.observe(draw(20_000, -1, 2));
    expect(uniform.range()!.min).toBeCloseTo(-1, 1);
    expect(uniform.range()!.max).toBeCloseTo(2, 1);
  });
});

describe.each(CALIBRATION_METHODS)('%s', (method) => {
  const fresh = () => newObserver(method, 99.99);

  test('stays within the observed bounds, and knows no, one and constant values', () => {
    expect(fresh().range()).toBeUndefined();
    for (const values of [[0], [3], [-3], [0, 0, 0], [5, 5, 5], [-1e-30, 0], [1e30, -1e30]]) {
      const observer = fresh();
      observer.observe(Float32Array.from(values));
      const { min, max } = observer.range()!;
      expect(min).toBeLessThanOrEqual(max);
      expect(min).toBeGreaterThanOrEqual(Math.min(...Float32Array.from(values)));
      expect(max).toBeLessThanOrEqual(Math.max(...Float32Array.from(values)));
    }
  });
});

/** Signal-to-noise of the codes for a range, in dB. */
function fidelity(values: Float32Array, range: Range): number {
  const signal = values.reduce((sum, v) => sum + v * v, 0);
  return 10 * Math.log10(signal / squaredError(values, range));
}

/** The best signal-to-noise over pairs of bounds, from a small part of the observed ones up, finest near zero. */
function bestFidelity(values: Float32Array): number {
  const all = new MinMaxObserver();
  all.observe(values);
  const shares = Array.from({ length: 14 }, (_, i) => ((i + 1) / 14) ** 2);
  const signal = values.reduce((sum, v) => sum + v * v, 0);
  return 10 * Math.log10(signal / leastError(values, all.range()!, shares));
}

const cauchy = (count: number) => draw(count, -0.5, 0.5).map((u) => Math.tan(Math.PI * u));
const TAILS = (
  [
    ['one value of 10^4 among normal ones', [Float32Array.from([...normal(4000), 1e4])]],
    [
      'the same in one sample of ten',
      Array.from({ length: 10 }, (_, i) =>
        i === 3 ? Float32Array.from([...normal(400), 1e4]) : normal(400),
      ),
    ],
    ['Cauchy', [cauchy(4000)]],
    ['cubes of normal ones', [normal(4000).map((x) => x ** 3)]],
    ['logarithmically normal', [normal(4000).map((x) => Math.exp(2 * x))]],
    ['normal times 10^-30', [normal(4000).map((x) => x * 1e-30)]],
    ['normal', [normal(4000)]],
  ] as [string, Float32Array[]][]
).map(([what, samples]) => {
  const values = Float32Array.from(samples.flatMap((s) => [...s]));
  return [what, { samples, values, best: bestFidelity(values) }] as const;
});

describe.each(CALIBRATION_METHODS)('%s of heavy tails', (method) => {
  // A percentile cuts by a rule, and is held to what it costs.
  const within = method === 'percentile' ? 20.5 : method === 'mse' || method === 'minmax' ? 3.1 : 10.5;

  test.each(TAILS)('comes close to the best range: %s', (_, { samples, values, best }) => {
    const observer = newObserver(method, 99.99);
    for (const values of samples) observer.observe(values);
    expect(fidelity(values, observer.range()!)).toBeGreaterThan(best - within);
  });
});

test.each<[string, number[]]>([
  ['zeros and ones', [0, 1]],
  ['-1 and 1', [-1, 1]],
  ['pixels', Array.from({ length: 256 }, (_, i) => i)],
  ['steps of a quarter', [0, 0.25, 0.5, 0.75, 1, 63.75]],
])('mse keeps what the bounds of all values hold exactly: %s', (_, levels) => {
  const values = Float32Array.from({ length: 3000 }, () => random.pick(levels));
  const [mse, all] = [newObserver('mse', 99.99), new MinMaxObserver()];
  for (const observer of [mse, all]) observer.observe(values);
  expect(squaredError(values, mse.range()!)).toBeLessThanOrEqual(2 * squaredError(values, all.range()!));
});

test('what is measured does not depend on the channels standing in a row', () => {
  // 64 channels, one of which alone has values; outliers are in it.
  const observe = (channel: number) => {
    const observer = newObserver('entropy', 99.99);
    const rows = normal(8192).map((v, i) => (i % 1000 === 0 ? 500 : v));
    const values = new Float32Array(64 * rows.length);
    rows.forEach((v, i) => {
      values[64 * i + channel] = v;
    });
    observer.observe(values);
    return fidelity(rows, observer.range()!);
  };
  for (const channel of [0, 1, 17]) expect(observe(channel)).toBeGreaterThan(20);
});

test('coarse bins keep all counts, and reach from the least value to the greatest, zero included', () => {
  for (const values of [draw(1000, 1, 2), draw(1000, -7, 0.1), draw(1000, -2, -1), draw(1000, -3, 50)]) {
    const histogram = new Histogram();
    histogram.add(draw(100, 0, 0.5));
    histogram.add(values);
    const { low, width, counts } = histogram.coarse(100);
    expect(counts.length).toBeGreaterThan(50);
    expect(counts.length).toBeLessThanOrEqual(100);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(1100);
    const { min, max } = histogram.range!;
    expect(low).toBeLessThanOrEqual(Math.min(min, 0));
    expect(low + counts.length * width).toBeGreaterThanOrEqual(max - 1e-6);
    const sum = counts.reduce((total, count, i) => total + count * (low + (i + 0.5) * width), 0);
    expect(Math.abs(sum / 1100 - values.reduce((a, b) => a + b, 0) / 1100 - 0.25 / 11)).toBeLessThan(width);
  }
});

test('channel means are over all samples and pixels', () => {
  const observer = new ChannelMeanObserver(2);
  observer.observe(Float32Array.of(1, 10, 3, 30));
  observer.observe(Float32Array.of(5, 50));
  expect([...observer.means()]).toEqual([3, 30]);
});

describe('the grid observer', () => {
  const pixels = Array.from({ length: 256 }, (_, k) => k);
  const gridOf = (...batches: readonly (readonly number[])[]) => {
    const observer = new GridObserver();
    for (const batch of batches) observer.observe(Float32Array.from(batch));
    return observer.grid();
  };

  test.each<[string, (k: number) => number, number, number]>([
    ['k / 127.5 - 1', (k) => Math.fround(Math.fround(k / 127.5) - 1), -1, 2 / 255],
    ['k / 255', (k) => k / 255, 0, 1 / 255],
    ['k', (k) => k, 0, 1],
    ['k - 128', (k) => k - 128, -128, 1],
    [
      '(k - 127.5) * 2^-7 in float32',
      (k) => Math.fround(k * 2 ** -7) - 127.5 * 2 ** -7,
      -127.5 / 128,
      1 / 128,
    ],
  ])('finds that of pixels as %s', (_, f, first, step) => {
    const grid = gridOf(pixels.map(f))!;
    expect(grid.first).toBeCloseTo(first, 6);
    expect(grid.step).toBeCloseTo(step, 8);
    // In any order, over several samples, some values of which never occur.
    const some = pixels.filter((k) => k % 7 !== 4).map(f);
    expect(gridOf(some.slice(100), some.slice(0, 120).toReversed())).toEqual(grid);
  });

  test.each<[string, readonly number[]]>([
    ['no values', []],
    ['zeros alone', [0, 0, 0]],
    ['few values', pixels.filter((k) => k % 5 === 0).map((k) => k / 255)],
    [
      'channels that are normalised each on its own',
      pixels.flatMap((k) => [(k / 255 - 0.485) / 0.229, (k / 255 - 0.456) / 0.224]),
    ],
    ['audio', Array.from(draw(4000, -1, 1))],
    ['more than 256 values', Array.from({ length: 257 }, (_, k) => k)],
    ['values between those of a grid', pixels.map((k) => (k === 100 ? 100.3 : k))],
    ['pixels without an end', pixels.slice(1, -2).map((k) => k / 255 - 0.5)],
    ['values all above zero', pixels.map((k) => k + 1)],
    ['values all below zero', pixels.map((k) => k - 256)],
    ['NaN among them', [...pixels, Number.NaN]],
    ['infinity among them', [...pixels.slice(1), Number.POSITIVE_INFINITY]],
  ])('finds none in %s', (_, values) => {
    expect(gridOf(values)).toBeUndefined();
  });
});
