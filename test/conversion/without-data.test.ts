// @needs engine
import { convertGraph } from '../../src/conversion/convert-graph';
import type { QuantizationOptions } from '../../src/conversion/options/options';
import '../../src/index.node';
import { signalToNoise } from '../../src/quantization/metrics';
import { drawFeeds, execute, windowAttrs } from '../support/float-graph';
import { randomOf } from '../support/random';
import { conv, image } from '../support/small-network';

const random = randomOf('without data', 0);

function network() {
  const graph = image(random);
  conv(graph, 'a', 'image', 'Relu');
  conv(graph, 'b', 'a', 'Relu6');
  graph.node('sum', 'AddV2', ['a', 'b']).node('pool', 'MaxPool', ['sum'], {
    ksize: windowAttrs().strides,
    ...windowAttrs(),
  });
  return conv(graph, 'c', 'pool').build('c');
}

const graph = network();
const convert = (options: QuantizationOptions = {}) => convertGraph(graph, undefined, options);

test('all layers get dynamic activations, and nothing else is warned about', async () => {
  const converted = await convert();
  expect(converted.macs.percent).toBe(100);
  expect(converted.calibration).toMatchObject({ method: 'none', samples: 0 });
  expect(converted.fidelity).toBeUndefined();
  expect(converted.warnings).toEqual([expect.stringContaining('Without calibration data')]);
  const feeds = drawFeeds(graph, random);
  const [[float], [ours]] = [await execute(graph, feeds), await execute(converted.graph, feeds)];
  expect(signalToNoise(float.values, ours.values)).toBeGreaterThan(30);
});

test('what has no form without a known range stays float, with the reason', async () => {
  const other = image(random);
  conv(other, 'a', 'image', 'Relu');
  // A transposed convolution whose result is cut has no form with dynamic activations.
  other
    .constant('size', [4], Int32Array.of(1, 15, 15, 4))
    .weights('t/w', [4, 4, 4, 4], -0.4, 0.4)
    .node('t', 'Conv2DBackpropInput', ['size', 't/w', 'a'], { ...windowAttrs({ strides: 2 }) });
  conv(other, 'c', 't');
  const converted = await convertGraph(other.build('c'), undefined, {});
  expect(converted.float).toContainEqual({
    name: 't',
    op: 'Conv2DBackpropInput',
    reason: 'its range is not known without calibration data: computed in float32',
  });
  expect(converted.quantized.map(({ name }) => name)).toEqual(['a', 'c']);
});

test('its configuration gives the same model again', async () => {
  const converted = await convert();
  const again = await convert({ config: converted.config });
  expect(again.graph.constants).toEqual(converted.graph.constants);
});

test.each([
  [{ equalize: true }, 'equalize'],
  [{ errorFeedback: true }, 'errorFeedback'],
  [{ minSignalToNoise: 20 }, 'minSignalToNoise'],
  [{ targetBits: 4 }, 'targetBits'],
  [{ int16: 2 }, 'int16'],
  [{ biasCorrection: 'sequential' as const }, 'biasCorrection'],
  [{ recipe: 'balanced' as const }, 'recipe'],
])('refuses %j, which needs data', async (options, name) => {
  await expect(convert(options)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining(name),
  });
});

test('layers that rules name keep their precision', async () => {
  const { config } = await convert({ int16: ['b'] });
  const of = (name: string) => config.layers!.find(({ match }) => match === name)!.activations;
  expect([of('a'), of('b'), of('c')]).toEqual(['dynamic', 'int16', 'dynamic']);
});

test('what a logarithm is computed of stays float', async () => {
  const other = conv(image(random), 'bank', 'image').node('power', 'Square', ['bank']);
  const built = conv(other.node('level', 'Log', ['power']), 'a', 'level').build('a');
  const converted = await convertGraph(built, undefined, {});
  expect(converted.float).toContainEqual(
    expect.objectContaining({ name: 'bank', reason: expect.stringContaining('logarithm') }),
  );
  expect(converted.quantized.map(({ name }) => name)).toEqual(['a']);
});
