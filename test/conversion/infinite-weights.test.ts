// @needs engine
/** Layers with weights that are infinite or NaN stay in float, and the rest of the model is quantized. */
import '@tensorflow/tfjs-backend-cpu';
import { join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { convert, type QuantizationOptions } from '../../src/convert';
import type { Graph, Sample } from '../../src/graph/ir';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { signalToNoise } from '../../src/quantization/metrics';
import { execute, FloatGraph, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { type Random, randomOf } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

/** Positive pictures, so that infinite weights make infinities and no NaN. */
const positive = (random: Random) => ({
  x: { shape: [1, 6, 6, 4], values: Float32Array.from({ length: 144 }, () => random.real(0.1, 2)) },
});

/**
 * A convolution, one with a weight of the given value and its result cut to 0 to 6, and one behind it; beside them a
 * convolution that all of this does not concern.
 */
function network(value: number, random: Random): Graph {
  const bad = Array.from({ length: 4 * 4 }, () => random.real(0.1, 1));
  bad[5] = value;
  return new FloatGraph(random)
    .input('x', [1, 6, 6, 4])
    .weights('v', [1, 1, 4, 4], 0.1, 1)
    .node('before', 'Conv2D', ['x', 'v'], windowAttrs())
    .constant('w', [1, 1, 4, 4], bad)
    .node('bad', 'Conv2D', ['before', 'w'], windowAttrs())
    .node('cut', 'Relu6', ['bad'])
    .weights('u', [3, 3, 4, 4])
    .node('behind', 'Conv2D', ['cut', 'u'], windowAttrs())
    .weights('t', [3, 3, 4, 4])
    .node('beside', 'Conv2D', ['before', 't'], windowAttrs())
    .build('behind', 'beside');
}

async function converted(graph: Graph, random: Random, options: QuantizationOptions) {
  const folder = temporaryFolder();
  await writeGraphModel(graph, join(folder, 'float'));
  const calibration = async function* (): AsyncGenerator<Sample> {
    for (let i = 0; i < 4; i++) yield toSample(positive(random));
  };
  const [input, output] = [join(folder, 'float', 'model.json'), join(folder, 'int8')];
  const report = await convert({ input, output, calibration, ...options });
  return { report, model: join(output, 'model.json') };
}

const MODES: [string, QuantizationOptions][] = [
  ['INT8', {}],
  ['a kernel for every node', { regions: false }],
  ['dynamic activations', { dynamic: ['**'] }],
  ['int16 activations', { int16: ['**'] }],
  ['equalized', { equalize: true, biasCorrection: 'sequential' }],
  ['two bits', { config: { layers: [{ match: '**', weights: 'pi2' }] } }],
];

describe.each(MODES)('%s', (mode, options) => {
  test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])(
    'a weight of %d',
    async (value) => {
      const random = randomOf(`infinite ${mode}`, 0);
      const graph = network(value, random);
      const { report, model } = await converted(graph, random, options);
      const float = new Map(report.float.map(({ name, reason }) => [name, reason]));
      const nodes = report.quantized.map(({ name }) => name);
      // Its activation is fused into it.
      expect(float.get('cut')).toBe(`its weights 'w' hold ${value}, for which there is no code`);
      expect(nodes).toEqual(expect.arrayContaining(['before', 'beside']));
      // Relu6 makes ordinary values of infinities, but none of NaN.
      const ordinary = !Number.isNaN(value);
      expect(nodes.includes('behind')).toBe(ordinary);
      if (!ordinary) expect(float.get('behind')).toMatch(/infinite or NaN/);
      const feeds = positive(random);
      const expected = await execute(graph, feeds);
      const int8 = await loadGraphModel(`file://${model}`);
      const results = tf.tidy(() =>
        [int8.execute(tf.tensor(feeds.x.values, feeds.x.shape))].flat().map((tensor) => tensor.dataSync()),
      );
      int8.dispose();
      const least = mode === 'two bits' ? 3 : 25;
      if (ordinary)
        expect(signalToNoise(expected[0].values, results[0] as Float32Array)).toBeGreaterThan(least);
      else expect(Array.from(results[0])).toEqual(Array.from(expected[0].values));
      expect(signalToNoise(expected[1].values, results[1] as Float32Array)).toBeGreaterThan(least);
    },
  );
});

test('weights alone: the layer stays as it is', async () => {
  const random = randomOf('infinite weights alone', 0);
  const wide = Array.from({ length: 64 * 64 }, () => random.real(-1, 1));
  const bad = wide.map((value, i) => (i === 77 ? Number.NEGATIVE_INFINITY : value));
  const product = { transpose_a: { b: false }, transpose_b: { b: false } };
  const graph = new FloatGraph(random)
    .input('x', [2, 64])
    .constant('v', [64, 64], wide)
    .node('good', 'MatMul', ['x', 'v'], product)
    .constant('w', [64, 64], bad)
    .node('bad', 'MatMul', ['x', 'w'], product)
    .build('good', 'bad');
  const { report } = await converted(graph, random, { activations: 'float32' }).catch(async () => {
    const folder = temporaryFolder();
    await writeGraphModel(graph, join(folder, 'float'));
    const input = join(folder, 'float', 'model.json');
    return { report: await convert({ input, output: join(folder, 'out'), activations: 'float32' }) };
  });
  expect(report.quantized.map(({ name }) => name)).toEqual(['good']);
  expect(report.float.find(({ name }) => name === 'bad')!.reason).toMatch(/hold -Infinity/);
});

test('other ops with NaN stay in float as well', async () => {
  const random = randomOf('other NaN', 0);
  const graph = new FloatGraph(random)
    .input('x', [1, 6, 6, 4])
    .weights('v', [3, 3, 4, 4])
    .node('conv', 'Conv2D', ['x', 'v'], windowAttrs())
    .constant('n', [4], [1, Number.NaN, 1, 1])
    .node('scaled', 'Mul', ['conv', 'n'])
    .build('conv', 'scaled');
  const { report } = await converted(graph, random, {});
  expect(report.quantized.map(({ name }) => name)).toEqual(['conv']);
  expect(report.float.find(({ name }) => name === 'scaled')!.reason).toMatch(/'n' hold NaN/);
});
