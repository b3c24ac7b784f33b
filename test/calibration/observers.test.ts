import { ChannelMeanObserver } from '../../src/calibration/observers/channel-mean';
import { MinMaxObserver } from '../../src/calibration/observers/min-max';
import { PercentileObserver } from '../../src/calibration/observers/percentile';
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

test('channel means are over all samples and pixels', () => {
  const observer = new ChannelMeanObserver(2);
  observer.observe(Float32Array.of(1, 10, 3, 30));
  observer.observe(Float32Array.of(5, 50));
  expect([...observer.means()]).toEqual([3, 30]);
});
