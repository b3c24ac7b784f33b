// @needs engine
import { Judge } from '../../src/evaluation/judge';
import type { Graph, Sample } from '../../src/graph/ir';
import { FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';

const random = randomOf('judge', 0);

const sampleOf = (values: number[]): Sample => ({
  x: { dtype: 'float32', shape: [1, values.length], values: Float32Array.from(values) },
});

/** x times some factors, an output. */
function scaled(factors: number[], name = 'y'): Graph {
  return new FloatGraph(random)
    .input('x', [1, factors.length])
    .constant('factors', [1, factors.length], factors)
    .node(name, 'Mul', ['x', 'factors'])
    .build(name);
}

async function judge(float: Graph, other: Graph, samples: Sample[]) {
  const judged = await Judge.of(float, samples);
  return (await judged.measure(other)).outputs;
}

const wide = (value: (i: number) => number) => Array.from({ length: 100 }, (_, i) => value(i));

test('the median sample counts, and the worst tenth', async () => {
  const samples = [1, 2, 3, 4, 5].map((scale) => sampleOf(wide((i) => scale * Math.sin(i))));
  const [output] = await judge(scaled(wide(() => 1)), scaled(wide(() => 1.01)), samples);
  // An error of one percent: 40 dB of every sample.
  expect(output.whole.median).toBeCloseTo(40, 1);
  expect(output.whole.worstTenth).toBeCloseTo(40, 1);
});

test.each([
  [3, 1],
  [8, 2],
  [12, 4],
  [16, 5],
])('of %d samples, the median of all others is likely above number %d', async (count, expected) => {
  // Drawn at random, that many or more of the samples are below the median nine times of ten.
  const drawn = (of: number) => Array.from({ length: of }, () => (random.real(0, 1) < 0.5 ? 1 : 0));
  const below = Array.from({ length: 4000 }, () => drawn(count).reduce<number>((sum, coin) => sum + coin, 0));
  const share = (least: number) => below.filter((n) => n >= least).length / below.length;
  if (expected > 1) expect(share(expected)).toBeGreaterThan(0.88);
  expect(share(expected + 1)).toBeLessThan(0.9);

  const noise = (i: number) => 0.001 * (i + 1);
  const samples = Array.from({ length: count }, (_, i) => sampleOf([1, noise(i)]));
  const graph = (factor: number) => scaled([1, factor]);
  const [output] = await judge(graph(1), graph(2), samples);
  // The noisiest come first.
  const decibels = samples.map((_, i) => 10 * Math.log10((1 + noise(i) ** 2) / noise(i) ** 2)).reverse();
  expect(output.whole.likelyMedian).toBeCloseTo(decibels[expected - 1], 2);
});

test('the mean over the samples is taken from the signal', async () => {
  const samples = [-1, 1, -1, 1].map((sign) => sampleOf(wide(() => 10 + sign)));
  const [{ whole, varying }] = await judge(scaled(wide(() => 1)), scaled(wide(() => 1.01)), samples);
  expect(whole.median).toBeCloseTo(40, 1);
  // Signal 1 of about 101, noise the same: 20 dB less.
  expect(varying!.median).toBeCloseTo(20, 0);
});

test('an output that hardly varies is not judged by how it varies', async () => {
  const samples = [0, 1e-3].map((more) => sampleOf(wide(() => 1 + more)));
  const [output] = await judge(scaled(wide(() => 1)), scaled(wide(() => 1.01)), samples);
  expect(output.varying).toBeUndefined();
});

test('a sample whose output is next to nothing counts by the usual power', async () => {
  const samples = [1, 1, 1e-6].map((scale) => sampleOf(wide((i) => scale * Math.cos(i))));
  const bias = (value: number) =>
    new FloatGraph(random)
      .input('x', [1, 100])
      .constant('bias', [1, 100], new Array(100).fill(value))
      .node('y', 'AddV2', ['x', 'bias'])
      .build('y');
  const [output] = await judge(bias(0), bias(0.01), samples);
  // Noise 1e-4 of a signal of 0.5, for the empty sample of a hundredth of that.
  expect(output.whole.median).toBeCloseTo(37, 0);
  expect(output.whole.worstTenth).toBeCloseTo(17, 0);
});

test('parts of an output are judged apart', async () => {
  const parts = (factor: number) =>
    new FloatGraph(random)
      .input('x', [1, 4])
      .constant('large', [1, 4], new Array(4).fill(1000))
      .constant('small', [1, 4], new Array(4).fill(factor))
      .constant('axis', [], Int32Array.of(1))
      .node('boxes', 'Mul', ['x', 'large'])
      .node('scores', 'Mul', ['x', 'small'])
      .node('y', 'ConcatV2', ['boxes', 'scores', 'axis'])
      .build('y');
  const samples = [1, 2].map((scale) => sampleOf([scale, scale, scale, scale]));
  const outputs = await judge(parts(1), parts(1.1), samples);
  expect(outputs.map(({ part }) => part)).toEqual(['boxes', 'scores']);
  expect(outputs[0].whole.median).toBe(Number.POSITIVE_INFINITY);
  // 20 dB of the second sample; the first one counts by the usual power, 2.5 times its own.
  expect(outputs[1].whole.median).toBeCloseTo(22, 0);
});

test('scores that add up to one are classes, other rows are not', async () => {
  const samples = [
    [0.5, 0.3, 0.2],
    [0.2, 0.45, 0.35],
  ].map(sampleOf);
  const swapped = await judge(scaled([1, 1, 1]), scaled([1, 1, 2]), samples);
  expect(swapped[0].choices).toEqual({ differing: 1, of: 2 });
  const numbers = await judge(scaled([2, 2, 2]), scaled([2, 2, 2]), samples);
  expect(numbers[0].choices).toBeUndefined();
});
