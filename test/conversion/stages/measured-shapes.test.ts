// @needs engine
/** Ops that inference does not know: layers behind them are quantized by the shapes of the calibration run. */
import '@tensorflow/tfjs-backend-cpu';
import { join } from 'node:path';
import { loadGraphModel, registerOp } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { measureShapes } from '../../../src/calibration/measure-shapes';
import { convert } from '../../../src/convert';
import { attr } from '../../../src/graph/attrs';
import { inferShapes } from '../../../src/graph/infer-shapes';
import type { Graph, Sample } from '../../../src/graph/ir';
import { writeGraphModel } from '../../../src/graph/write-graph-model';
import { signalToNoise } from '../../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../../support/float-graph';
import { toSample } from '../../support/quantize';
import { randomOf } from '../../support/random';
import { temporaryFolder } from '../../support/tiny-model';

const random = randomOf('measured shapes', 0);

beforeAll(() => {
  // Half as high, twice as wide.
  registerOp('FoldedRows', ({ inputs: [x] }) => {
    const [batch, height, width, channels] = x.shape;
    return tf.reshape(x, [batch, height / 2, width * 2, channels]);
  });
  registerOp('Positive', ({ inputs: [x] }) => {
    const values = x.dataSync().filter((value) => value > 0);
    return tf.tensor2d(values, [values.length, 1]);
  });
});

/** Two convolutions around a node. */
function around(op: string, batch = -1): FloatGraph {
  return new FloatGraph(random)
    .input('x', [batch, 8, 8, 3])
    .weights('v', [3, 3, 3, 8])
    .node('first', 'Conv2D', ['x', 'v'], windowAttrs())
    .node('odd', op, ['first'])
    .weights('w', [3, 3, 8, 6])
    .node('second', 'Conv2D', ['odd', 'w'], windowAttrs());
}

const calibration = (graph: Graph) =>
  async function* (): AsyncGenerator<Sample> {
    for (let i = 0; i < 4; i++) yield toSample(drawFeeds(graph, random));
  };

async function converted(graph: Graph, options: object = {}) {
  const folder = temporaryFolder();
  await writeGraphModel(graph, join(folder, 'float'));
  const [input, output] = [join(folder, 'float', 'model.json'), join(folder, 'int8')];
  const report = await convert({ input, output, calibration: calibration(graph), ...options });
  return { report, model: join(output, 'model.json') };
}

test('the convolution behind an op of the user is in INT8, for every size of the batch', async () => {
  const graph = around('FoldedRows').build('second');
  expect(inferShapes(graph).get('odd:0')).toBeUndefined();
  const { report, model } = await converted(graph);
  expect(report.float.map(({ name }) => name)).toEqual(['odd']);
  expect(report.quantized.map(({ name }) => name)).toEqual(['first', 'second']);
  expect(report.macs.percent).toBe(100);
  expect(report.macs.incomplete ?? 0).toBe(0);
  const int8 = await loadGraphModel(`file://${model}`);
  for (const batch of [1, 3]) {
    const values = Float32Array.from({ length: batch * 8 * 8 * 3 }, () => random.real(-2, 2));
    const shape = [batch, 8, 8, 3];
    const [expected] = await execute(graph, { x: { shape, values } });
    const result = tf.tidy(() => int8.execute(tf.tensor(values, shape)) as tf.Tensor);
    expect(result.shape).toEqual(expected.shape);
    expect(signalToNoise(expected.values, result.dataSync() as Float32Array)).toBeGreaterThan(30);
  }
  int8.dispose();
});

test('so it is behind an op of TF.js without a rule', async () => {
  const graph = around('ImageProjectiveTransformV3', 1);
  const attrs = { interpolation: attr.string('NEAREST'), fill_mode: attr.string('CONSTANT') };
  graph
    .constant('move', [1, 8], [1, 0, 1, 0, 1, 0, 0, 0])
    .constant('size', [2], [8, 8], 'int32')
    .constant('fill', [], [0])
    .node('odd', 'ImageProjectiveTransformV3', ['first', 'move', 'size', 'fill'], attrs);
  const { report } = await converted(graph.build('second'));
  expect(report.quantized.map(({ name }) => name)).toEqual(['first', 'second']);
});

test('sizes that depend on the values, or on open sizes of the input, are left open', async () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 8])
    .node('odd', 'Positive', ['x'])
    .weights('w', [1, 4])
    .node('y', 'MatMul', ['odd', 'w'], { transpose_a: { b: false }, transpose_b: { b: false } })
    .build('y');
  const refs = [{ node: 'odd', index: 0 }];
  expect(await measureShapes(graph, refs, calibration(graph))).toEqual([[-1, 1]]);
  const open = around('FoldedRows').build('second');
  const sizes = { ...open, inputs: open.inputs.map((input) => ({ ...input, shape: [-1, -1, 8, 3] })) };
  const square = async function* () {
    yield toSample({ x: { shape: [1, 8, 8, 3], values: new Float32Array(192) } });
  };
  expect(await measureShapes(sizes, refs, square)).toEqual([[-1, -1, -1, -1]]);
});

test('a graph that does not run is reported by its calibration', async () => {
  const graph = around('NoSuchOp').build('second');
  await expect(converted(graph)).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining("NoSuchOp 'odd'"),
  });
});
