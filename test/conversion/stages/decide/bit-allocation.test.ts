import type { LayerWidths } from '../../../../src/conversion/report-types';
import { allocateBits } from '../../../../src/conversion/stages/decide/bit-allocation';
import type { WeightBits } from '../../../../src/quantization/layer-weights';

const WIDTHS: readonly WeightBits[] = [8, 4, 3, 2];

/** A layer with a signal-to-noise for each width, of codes alone. */
function layer(name: string, weights: number, ...decibels: number[]): LayerWidths {
  const options = decibels.map((signalToNoise, i) => ({
    bits: WIDTHS[i],
    bitsPerWeight: WIDTHS[i],
    signalToNoise,
  }));
  return { name, weights, options };
}

const NONE = { weights: 0, storedBits: 0 };

const noise = (decibels: number) => 10 ** (-decibels / 10);

/** The least noise that any choice within the budget has. */
function leastNoise(layers: readonly LayerWidths[], targetBits: number): number {
  const weights = layers.reduce((sum, l) => sum + l.weights, 0);
  const search = (rest: readonly LayerWidths[], bits: number): number => {
    if (bits < 0) return Number.POSITIVE_INFINITY;
    const [first, ...others] = rest;
    if (!first) return 0;
    return Math.min(
      ...first.options.map(
        (o) => noise(o.signalToNoise) + search(others, bits - first.weights * o.bitsPerWeight),
      ),
    );
  };
  return search(layers, targetBits * weights);
}

const noiseOf = ({ layers }: ReturnType<typeof allocateBits>) =>
  layers.reduce((sum, l) => sum + noise(l.options.find((o) => o.bits === l.chosen)!.signalToNoise), 0);

test('gives the bits to the layers that need them', () => {
  const layers = [layer('robust', 100, 60, 50, 45, 40), layer('frail', 100, 50, 20, 10, 3)];
  const { layers: chosen, bitsPerWeight } = allocateBits(layers, NONE, 5);
  expect(chosen.map(({ name, chosen: bits }) => [name, bits])).toEqual([
    ['robust', 2],
    ['frail', 8],
  ]);
  expect(bitsPerWeight).toBe(5);
});

test('is within a step of the best of all choices, and never over the budget', () => {
  const layers = [
    layer('a', 10, 45, 31, 22, 12),
    layer('b', 40, 50, 38, 30, 25),
    layer('c', 25, 41, 25, 24, 23),
    layer('d', 5, 60, 20, 11, 5),
  ];
  for (const target of [8, 6, 4.5, 4, 3.5, 3, 2.5, 2]) {
    const allocation = allocateBits(layers, NONE, target);
    expect(allocation.bitsPerWeight).toBeLessThanOrEqual(target);
    expect(noiseOf(allocation)).toBeLessThan(1.5 * leastNoise(layers, target));
  }
});

test('counts weights whose width is given', () => {
  const layers = [layer('a', 100, 50, 40, 30, 20)];
  const fixed = { weights: 100, storedBits: 800 };
  expect(allocateBits(layers, fixed, 6).layers[0].chosen).toBe(4);
  expect(() => allocateBits(layers, fixed, 4.9)).toThrow(
    /cannot have 4.9 bits on average: .* they have 5\.00/,
  );
});

test('takes the narrower width where the wider one is no better', () => {
  const layers = [layer('a', 100, 30, 20, 25, 10)];
  expect(allocateBits(layers, NONE, 4).layers[0].chosen).toBe(3);
});
