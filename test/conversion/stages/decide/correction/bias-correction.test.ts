// @needs engine
import { calibrate } from '../../../../../src/calibration/runner';
import { decideConversion } from '../../../../../src/conversion/convert-graph';
import { settle } from '../../../../../src/conversion/options/settle';
import type { Int8Decision } from '../../../../../src/conversion/stage-results';
import { correctedObservations } from '../../../../../src/conversion/stages/decide/correction/bias-correction';
import { shrunkenShift } from '../../../../../src/conversion/stages/decide/correction/quantized-means';
import { attr } from '../../../../../src/graph/attrs';
import { observedTensors } from '../../../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../../src/passes/quantize/quantize-graph';
import type { BiasCorrection } from '../../../../../src/quantization/bias-correction';
import { drawFeeds, execute, FloatGraph, fusedAttrs, windowAttrs } from '../../../../support/float-graph';
import { toSample } from '../../../../support/quantize';
import { randomOf } from '../../../../support/random';

const random = randomOf('bias correction', 0);
const CHANNELS = 8;
const SHAPE = [1, 1, CHANNELS, CHANNELS];

/** Three rectified 1x1 convolutions and a sum around the middle one; positive weights, so that shifts add up. */
function chain() {
  const graph = new FloatGraph(random).input('image', [1, 8, 8, CHANNELS]);
  const conv = (name: string, input: string) =>
    graph
      .weights(`${name}/w`, SHAPE, 0, 0.3)
      .weights(`${name}/b`, [CHANNELS], 0, 0.5)
      .node(name, '_FusedConv2D', [input, `${name}/w`, `${name}/b`], {
        ...windowAttrs(),
        ...fusedAttrs(['BiasAdd', 'Relu']),
      });
  conv('a', 'image');
  conv('b', 'a');
  graph.node('sum', 'AddV2', ['a', 'b']);
  conv('c', 'sum');
  return graph.build('c', 'b');
}

const graph = chain();
const plan = planQuantization(graph);
const feeds = Array.from({ length: 8 }, () => drawFeeds(graph, random));
const source = async function* () {
  for (const feed of feeds) yield toSample(feed);
};

/** Channel means of both outputs over all samples. */
async function means(of: typeof graph): Promise<number[][]> {
  const sums = of.outputs.map(() => new Array<number>(CHANNELS).fill(0));
  for (const feed of feeds) {
    for (const [output, { values }] of (await execute(of, feed)).entries()) {
      values.forEach((value, i) => {
        sums[output][i % CHANNELS] += value / (feeds.length * 64);
      });
    }
  }
  return sums;
}

/** Largest shift of a channel's mean, by output, with a range that cuts off much of what `a` computes. */
async function shifts(method: BiasCorrection): Promise<number[]> {
  const observed = await calibrate(graph, observedTensors(plan), source, { method: 'minmax' });
  const { max } = observed.ranges.get('a:0')!;
  const ranges = new Map(observed.ranges).set('a:0', { min: 0, max: max / 3 });
  const observations = { ...observed, ranges };
  const corrected = await correctedObservations(graph, plan, observations, source, { method });
  const received = await means(quantizeGraph(graph, plan, corrected).graph);
  return (await means(graph)).map((expected, output) =>
    Math.max(...expected.map((mean, c) => Math.abs(mean - received[output][c]))),
  );
}

test('sequential correction keeps the means that ranges shift, and the others do not', async () => {
  const [none, fast, sequential] = [await shifts('none'), await shifts('fast'), await shifts('sequential')];
  for (const output of [0, 1]) {
    expect(sequential[output]).toBeLessThan(0.03);
    expect(fast[output]).toBeGreaterThan(4 * sequential[output]);
    expect(none[output]).toBeGreaterThan(4 * sequential[output]);
  }
});

test('sequential correction does no harm where its samples are unlike the others', async () => {
  const dim = feeds.map(({ image }) => ({ image: { ...image, values: image.values.map((v) => v / 5) } }));
  const unlike = async function* () {
    for (let i = 0; i < 64; i++) yield toSample(dim[i % dim.length]);
    for (let i = 0; i < 64; i++) yield toSample(feeds[i % feeds.length]);
  };
  const observed = await calibrate(graph, observedTensors(plan), unlike, { method: 'minmax' });
  const errorOf = async (method: BiasCorrection) => {
    const observations = await correctedObservations(graph, plan, observed, unlike, { method });
    const received = await means(quantizeGraph(graph, plan, observations).graph);
    return (await means(graph)).map((expected, output) =>
      Math.max(...expected.map((mean, c) => Math.abs(mean - received[output][c]))),
    );
  };
  const [fast, sequential] = [await errorOf('fast'), await errorOf('sequential')];
  for (const output of [0, 1]) expect(sequential[output]).toBeLessThan(fast[output] + 0.01);
});

describe('a shift', () => {
  test('that all samples show is kept', () => {
    expect(shrunkenShift([0.5, 0.5, 0.5])).toBe(0.5);
    expect(shrunkenShift([-2])).toBe(-2);
    expect(shrunkenShift([1, 1.1, 0.9, 1])).toBeCloseTo(1, 1);
  });

  test('that may be chance is not', () => {
    expect(shrunkenShift([1, -1.1, 0.9, -1])).toBeCloseTo(0, 9);
    const half = shrunkenShift([0, 1, 1, 0, 1, 1, 1, 1]);
    expect(half).toBeGreaterThan(0);
    expect(half).toBeLessThan(0.75);
  });
});

test('uses no more samples than it may', async () => {
  let read = 0;
  const endless = async function* () {
    for (;;) {
      read++;
      yield toSample(feeds[0]);
    }
  };
  const observed = await calibrate(graph, observedTensors(plan), source, { method: 'minmax' });
  const steps: number[] = [];
  await correctedObservations(graph, plan, observed, endless, {
    method: 'sequential',
    samples: 3,
    onProgress: (done) => steps.push(done),
  });
  expect(read).toBe(3);
  expect(steps).toEqual([1, 2]);
});

test('stops when it is cancelled', async () => {
  const observed = await calibrate(graph, observedTensors(plan), source, { method: 'minmax' });
  const options = { method: 'sequential' as const, signal: AbortSignal.abort() };
  await expect(correctedObservations(graph, plan, observed, source, options)).rejects.toMatchObject({
    code: 'cancelled',
  });
});

test('the means of an input whose shape is not known before it is computed', async () => {
  const squeezed = new FloatGraph(random)
    .input('x', [1, -1, -1, 3])
    .weights('w', [1, 1, 3, 2])
    .node('conv', 'Conv2D', ['x', 'w'], windowAttrs())
    .node('rows', 'Squeeze', ['conv'], { squeeze_dims: attr.ints([]) })
    .weights('v', [2, 4])
    .node('y', 'BatchMatMulV2', ['rows', 'v'])
    .build('y', 'rows');
  const samples = Array.from({ length: 4 }, () => ({
    x: { shape: [1, 5, 6, 3], values: Float32Array.from({ length: 90 }, () => random.real(-1, 2)) },
  }));
  const data = async function* () {
    for (const sample of samples) yield toSample(sample);
  };
  const sums = [0, 0];
  for (const sample of samples) {
    const [, { values }] = await execute(squeezed, sample);
    values.forEach((value, i) => {
      sums[i % 2] += value / (4 * 30);
    });
  }
  const settings = settle({ recipe: 'fast', biasCorrection: 'sequential' }, data);
  const { observations } = (await decideConversion(squeezed, settings)) as Int8Decision;
  for (const [c, sum] of sums.entries()) {
    expect(observations.means.get('rows:0')![c]).toBeCloseTo(sum, 4);
    expect(observations.quantizedMeans!.get('rows:0')![c]).toBeCloseTo(sum, 1);
  }
});
