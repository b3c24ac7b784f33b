// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import '../../src/index.node';
import { join } from 'node:path';
import { convert } from '../../src/conversion/convert';
import { layerErrors } from '../../src/evaluation/layer-error';
import { layerTimes } from '../../src/evaluation/layer-time';
import type { Graph, Sample } from '../../src/graph/ir';
import { readModel } from '../../src/graph/read-model';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { optimize } from '../../src/passes/pipeline';
import { FloatGraph, windowAttrs } from '../support/float-graph';
import { Random } from '../support/random';
import { TINY_CLASSES, TINY_SIZE, temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

async function* scaled(samples: AsyncIterable<Sample>, factor: number) {
  for await (const { image } of samples) {
    yield { image: { ...image, values: (image.values as Float32Array).map((x) => x * factor) } };
  }
}

async function convertAndRead(
  input: string,
  calibration: () => AsyncIterable<Sample>,
  skip: readonly string[] = [],
) {
  const output = join(temporaryFolder(), 'int8');
  await convert({ input, output, calibration, calibrationMethod: 'minmax', skip });
  return {
    float: optimize(await readModel(input)).graph,
    converted: await readModel(join(output, 'model.json'), { converted: true }),
  };
}

describe('layer errors', () => {
  let models: { float: Graph; converted: Graph };
  beforeAll(async () => {
    models = await convertAndRead(writeTinyModel(), () => tinySamples(8));
  });

  test('tell of every layer, in order, what it costs and how close it is', async () => {
    const layers = await layerErrors(models.float, models.converted, tinySamples(8));
    expect(layers.map(({ name, precision }) => [name, precision])).toEqual([
      ['conv', 'int8'],
      ['depthwise', 'int8'],
      ['mean', 'int8'],
      ['logits', 'int8'],
      ['probabilities', 'float32'],
    ]);
    for (const { signalToNoise, clipped = 0 } of layers) {
      expect(signalToNoise).toBeGreaterThan(25);
      expect(signalToNoise).toBeLessThan(80);
      expect(clipped).toBe(0);
    }
    const [conv, , mean, , probabilities] = layers;
    expect(conv.macs).toBe(TINY_SIZE * TINY_SIZE * 27 * 6);
    expect(conv.bytes).toEqual({ before: 4 * (162 + 6), after: 162 + 8 * 6 });
    expect(conv.bits).toEqual({ weights: 8, result: 8 });
    expect(mean.bits).toEqual({ result: 8 });
    expect(probabilities.bits).toEqual({ result: 32 });
    expect(probabilities.reason).toBeUndefined();
    expect(probabilities.range.max).toBeLessThanOrEqual(1);
  });

  test('count every value of both models', async () => {
    const layers = await layerErrors(models.float, models.converted, tinySamples(8), { samples: 3 });
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
    const [conv] = layers;
    expect(sum(conv.histogram.float)).toBe(3 * TINY_SIZE * TINY_SIZE * 6);
    expect(sum(conv.histogram.quantized)).toBe(3 * TINY_SIZE * TINY_SIZE * 6);
    expect(sum(layers.at(-1)!.histogram.quantized)).toBe(3 * TINY_CLASSES);
  });

  test('show values that the calibrated range cannot hold', async () => {
    const narrow = await convertAndRead(writeTinyModel(), () => scaled(tinySamples(8), 0.25));
    const [conv] = await layerErrors(narrow.float, narrow.converted, tinySamples(8));
    expect(conv.clipped).toBeGreaterThan(5);
    expect(conv.rangeUsed).toBeCloseTo(100);
    expect(conv.histogram.float.at(-1)).toBeGreaterThan(0);
    expect(conv.histogram.quantized.at(-1)).toBe(0);
    expect(conv.signalToNoise).toBeLessThan(20);
  });

  test('compare a layer with the result of what is fused into it', async () => {
    const graph = new FloatGraph(new Random(3))
      .input('image', [-1, 8, 8, 3])
      .weights('w', [3, 3, 3, 4], -0.4, 0.4)
      .node('conv', 'Conv2D', ['image', 'w'], windowAttrs())
      .node('swish', 'Sigmoid', ['conv'])
      .node('end', 'MaxPool', ['swish'], windowAttrs({ ksize: 2, strides: 2 }))
      .build('end');
    const folder = join(temporaryFolder(), 'float');
    await writeGraphModel(graph, folder);
    const { float, converted } = await convertAndRead(join(folder, 'model.json'), () => tinySamples(8));
    const [conv] = await layerErrors(float, converted, tinySamples(8));
    expect(conv).toMatchObject({ name: 'conv', fused: ['Sigmoid'] });
    expect(conv.range.min).toBeGreaterThan(0);
    expect(conv.range.max).toBeLessThan(1);
    expect(conv.signalToNoise).toBeGreaterThan(30);
  });

  test('are the same every time', async () => {
    const run = () => layerErrors(models.float, models.converted, tinySamples(4));
    expect(await run()).toEqual(await run());
  });
});

test('layer times tell of every layer in both models', async () => {
  const skip = ['depthwise'];
  const { float, converted } = await convertAndRead(writeTinyModel(), () => tinySamples(4), skip);
  const { value: sample } = await tinySamples(1).next();
  const { layers, borders } = await layerTimes(float, converted, sample!, { runs: 2 });
  expect([...layers.keys()]).toEqual(['conv', 'depthwise', 'mean', 'logits', 'probabilities']);
  for (const { before } of layers.values()) expect(before).toBeGreaterThan(0);
  expect(layers.get('conv')!.after).toBeGreaterThan(0);
  const skipped = layers.get('depthwise')!;
  expect(skipped.after).toBe(skipped.before);
  expect(borders).toBeGreaterThan(0);
});
