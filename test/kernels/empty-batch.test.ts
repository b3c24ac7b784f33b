// @needs engine
/** Batches without samples: converted models give what float TF.js gives, tensors of the right shape. */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { convert, type QuantizationOptions } from '../../src/convert';
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { dequantize, hadamard, moeRoute, quantize } from '../../src/kernels.node';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { randomOf } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

const random = randomOf('empty batch', 0);

/** A convolution, a pool, a reshape that cuts samples in two, and a product beside its own input. */
function network(): Graph {
  return new FloatGraph(random)
    .input('x', [-1, 4, 4, 3])
    .input('y', [-1, 64])
    .weights('w', [3, 3, 3, 8])
    .node('conv', 'Conv2D', ['x', 'w'], windowAttrs())
    .node('pool', 'MaxPool', ['conv'], windowAttrs({ ksize: 2, strides: 2 }))
    .constant('rows', [2], [-1, 16], 'int32')
    .node('halves', 'Reshape', ['pool', 'rows'])
    .weights('m', [64, 64])
    .node('product', 'MatMul', ['y', 'm'], { transpose_a: { b: false }, transpose_b: { b: false } })
    .constant('axis', [], [1], 'int32')
    .node('beside', 'ConcatV2', ['product', 'y', 'axis'], { N: attr.int(2), Tidx: attr.dtype('int32') })
    .build('halves', 'beside');
}

const MODES: [string, QuantizationOptions][] = [
  ['int8', {}],
  ['a kernel for every node', { regions: false }],
  ['dynamic', { dynamic: ['**'] }],
  ['int16', { int16: ['**'] }],
  ['weights', { activations: 'float32' }],
  ['two bits', { config: { layers: [{ match: 'product', weights: 'pi2' }] } }],
];

test.each(MODES)('%s', async (_, options) => {
  const graph = network();
  const folder = temporaryFolder();
  const [input, output] = [join(folder, 'float'), join(folder, 'converted')];
  await writeGraphModel(graph, input);
  const calibration = async function* () {
    yield toSample(drawFeeds(graph, random));
  };
  await convert({ input: join(input, 'model.json'), output, calibration, ...options });
  for (const batch of [0, 3]) {
    const sizes = { x: [batch, 4, 4, 3], y: [batch, 64] };
    const feeds = Object.fromEntries(
      Object.entries(sizes).map(([name, shape]) => [
        name,
        { shape, values: new Float32Array(shape.reduce((product, size) => product * size, 1)) },
      ]),
    );
    const expected = (await execute(graph, feeds)).map(({ shape }) => shape);
    expect(expected).toEqual([
      [2 * batch, 16],
      [batch, 128],
    ]);
    for (const backend of ['cpu', 'wasm']) {
      await tf.setBackend(backend);
      const model = await loadGraphModel(`file://${join(output, 'model.json')}`);
      const results = tf.tidy(() => {
        const { x, y } = feeds;
        return model.execute({ x: tf.tensor(x.values, x.shape), y: tf.tensor(y.values, y.shape) });
      });
      expect([results].flat().map(({ shape }) => shape)).toEqual(expected);
      tf.dispose(results);
      model.dispose();
    }
  }
});

test('kernels called as functions', async () => {
  await tf.setBackend('cpu');
  const none = tf.zeros([0, 8]);
  expect(hadamard(none, { block: 8, seed: 1 }).shape).toEqual([0, 8]);
  const codes = quantize(none, { scale: 0.1, zeroPoint: 0 });
  expect([codes.shape, codes.dtype]).toEqual([[0, 8], 'int32']);
  expect(dequantize(codes, { scale: 0.1, zeroPoint: 0 }).shape).toEqual([0, 8]);
  const { ids, weights } = moeRoute(none as tf.Tensor2D, { experts: 8, topK: 2 });
  expect([ids.shape, weights.shape]).toEqual([
    [0, 2],
    [0, 2],
  ]);
});

test('a picture without rows is no empty batch', async () => {
  await tf.setBackend('cpu');
  const attrs = { scale: 0.1, zeroPoint: 0 };
  expect(() => quantize(tf.zeros([0, 0, 8]), attrs)).toThrow(/dimension 0 is 0/);
  expect(() => quantize(tf.zeros([2, 0, 8]), attrs)).toThrow(/dimension 1 is 0/);
});
