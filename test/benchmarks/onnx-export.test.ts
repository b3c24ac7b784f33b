/** @jest-environment <rootDir>/test/support/host-arrays-environment.js */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnx } from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { exportOnnx } from '../../benchmarks/onnx/export';
import { permute, TO_CHANNELS_FIRST, TO_CHANNELS_LAST, transpose } from '../../benchmarks/onnx/layout';
import { calibrate } from '../../src/calibration/runner';
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { optimize } from '../../src/passes/pipeline';
import { observedTensors } from '../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../src/passes/quantize/plan/plan';
import { signalToNoise } from '../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { Random } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

type Feeds = ReturnType<typeof drawFeeds>;

const FLOAT = { T: attr.dtype('float32') };

/** What onnxruntime computes for the outputs of a graph, channels last. */
async function runOnnxModel(
  model: Uint8Array,
  feeds: Feeds,
  options: InferenceSession.SessionOptions = {},
): Promise<Float32Array[]> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3, ...options });
  const tensors = Object.entries(feeds).map(([name, { shape, values }]) => {
    const data = shape.length === 4 ? transpose(values, shape, TO_CHANNELS_FIRST) : values;
    return [
      name,
      new Tensor('float32', data, shape.length === 4 ? permute(shape, TO_CHANNELS_FIRST) : shape),
    ];
  });
  const results = await session.run(Object.fromEntries(tensors));
  await session.release();
  return session.outputNames.map((name) => {
    const { data, dims } = results[name];
    const values = data as Float32Array;
    return dims.length === 4 ? transpose(values, dims, TO_CHANNELS_LAST) : values;
  });
}

/** A graph of one input of shape [batch, 9, 7, 6]. */
function graphOf(random: Random, build: (graph: FloatGraph) => void, ...outputs: string[]): Graph {
  const graph = new FloatGraph(random).input('x', [-1, 9, 7, 6]);
  build(graph);
  return graph.build(...outputs);
}

const GRAPHS: Readonly<Record<string, (graph: FloatGraph) => void>> = {
  'a strided SAME convolution with Relu6': (g) =>
    g
      .weights('w', [3, 3, 6, 8])
      .weights('b', [8])
      .node('y', '_FusedConv2D', ['x', 'w', 'b'], {
        ...windowAttrs({ strides: 2 }),
        ...fusedAttrs(['BiasAdd', 'Relu6']),
      }),
  'an explicitly padded convolution': (g) =>
    g.weights('w', [3, 2, 6, 4]).node('y', 'Conv2D', ['x', 'w'], {
      ...windowAttrs({ padding: 'EXPLICIT', pads: [0, 0, 2, 0, 1, 1, 0, 0] }),
    }),
  'a depthwise convolution with a multiplier': (g) =>
    g.weights('w', [3, 3, 6, 2]).node('y', 'DepthwiseConv2dNative', ['x', 'w'], windowAttrs({ strides: 2 })),
  'max and average pools whose windows reach over the border': (g) =>
    g
      .node('max', 'MaxPool', ['x'], windowAttrs({ ksize: 3, strides: 2 }))
      .node('y', 'AvgPool', ['max'], windowAttrs({ ksize: 2, strides: 2 })),
  'a mean, a product, a softmax': (g) =>
    g
      .constant('axes', [2], [1, 2], 'int32')
      .weights('w', [5, 6])
      .weights('b', [5])
      .node('mean', 'Mean', ['x', 'axes'], { ...FLOAT, keep_dims: { b: false } })
      .node('product', 'MatMul', ['mean', 'w'], { ...FLOAT, transpose_b: { b: true } })
      .node('biased', 'BiasAdd', ['product', 'b'], FLOAT)
      .node('y', 'Softmax', ['biased'], FLOAT),
  'constants a channel, on either side': (g) =>
    g
      .weights('c', [6])
      .weights('slope', [1, 1, 6])
      .node('difference', 'Sub', ['c', 'x'], FLOAT)
      .node('prelu', 'Prelu', ['difference', 'slope'], FLOAT)
      .node('y', 'Mul', ['prelu', 'c'], FLOAT),
  'channels concatenated and padded, pixels sliced': (g) =>
    g
      .constant('axis', [], [3], 'int32')
      .constant('pads', [4, 2], [0, 0, 0, 0, 1, 0, 1, 2], 'int32')
      .constant('begin', [4], [0, 1, 0, 0], 'int32')
      .constant('end', [4], [0, 9, 0, 0], 'int32')
      .constant('step', [4], [1, 2, 2, 1], 'int32')
      .node('relu', 'Relu', ['x'], FLOAT)
      .node('both', 'ConcatV2', ['x', 'relu', 'axis'], FLOAT)
      .node('padded', 'Pad', ['both', 'pads'], FLOAT)
      .node('y', 'StridedSlice', ['padded', 'begin', 'end', 'step'], {
        ...FLOAT,
        begin_mask: attr.int(13),
        end_mask: attr.int(13),
      }),
  'pixels in a row, and back': (g) =>
    g
      .constant('flat', [2], [-1, 9 * 7 * 6], 'int32')
      .constant('image', [4], [-1, 7, 9, 6], 'int32')
      .node('row', 'Reshape', ['x', 'flat'], FLOAT)
      .node('sigmoid', 'Sigmoid', ['row'], FLOAT)
      .node('y', 'Reshape', ['sigmoid', 'image'], FLOAT),
  'a picture made larger': (g) =>
    g.constant('size', [2], [18, 21], 'int32').node('y', 'ResizeBilinear', ['x', 'size'], {
      ...FLOAT,
      half_pixel_centers: { b: true },
    }),
};

test.each(Object.entries(GRAPHS))('onnxruntime computes what TF.js does: %s', async (_, build) => {
  const random = new Random(7);
  const { graph } = optimize(graphOf(random, build, 'y'));
  const feeds = drawFeeds(graph, random);
  const [expected] = await execute(graph, feeds);
  const [received] = await runOnnxModel(exportOnnx(graph), feeds);
  expect(received).toHaveLength(expected.values.length);
  const error = received.reduce((most, value, i) => Math.max(most, Math.abs(value - expected.values[i])), 0);
  expect(error).toBeLessThan(1e-4);
});

test('an op that has no translation is named', () => {
  const graph = graphOf(new Random(1), (g) => g.node('y', 'Erf', ['x'], FLOAT), 'y');
  expect(() => exportOnnx(graph)).toThrow(/Erf 'y'/);
});

/** Two convolutions, a depthwise one, a skip, a linear layer: what networks are made of. */
function residualNetwork(random: Random): Graph {
  const relu6 = fusedAttrs(['BiasAdd', 'Relu6']);
  return graphOf(
    random,
    (g) =>
      g
        .weights('w0', [3, 3, 6, 8])
        .weights('b0', [8])
        .weights('w1', [3, 3, 8, 1])
        .weights('b1', [8])
        .weights('w2', [1, 1, 8, 8])
        .weights('b2', [8])
        .weights('w3', [8, 5])
        .constant('axes', [2], [1, 2], 'int32')
        .node('conv', '_FusedConv2D', ['x', 'w0', 'b0'], { ...windowAttrs({ strides: 2 }), ...relu6 })
        .node('depthwise', 'FusedDepthwiseConv2dNative', ['conv', 'w1', 'b1'], { ...windowAttrs(), ...relu6 })
        .node('project', '_FusedConv2D', ['depthwise', 'w2', 'b2'], {
          ...windowAttrs(),
          ...fusedAttrs(['BiasAdd']),
        })
        .node('add', 'AddV2', ['conv', 'project'], FLOAT)
        .node('pool', 'MaxPool', ['add'], windowAttrs({ ksize: 2, strides: 2 }))
        .node('mean', 'Mean', ['pool', 'axes'], { ...FLOAT, keep_dims: { b: false } })
        .node('y', 'MatMul', ['mean', 'w3'], FLOAT),
    'y',
  );
}

describe.each([false, true])('an INT8 export (narrow weights: %s)', (narrowWeights) => {
  async function quantizedExport() {
    const random = new Random(3);
    const { graph } = optimize(residualNetwork(random));
    const plan = planQuantization(graph);
    const feeds = drawFeeds(graph, random);
    const samples = async function* () {
      yield { x: { dtype: 'float32' as const, ...feeds.x } };
    };
    const observations = await calibrate(graph, observedTensors(plan), samples, { method: 'minmax' });
    const [expected] = await execute(graph, feeds);
    return { model: exportOnnx(graph, { plan, observations, narrowWeights }), feeds, expected };
  }

  test('is close to float', async () => {
    const { model, feeds, expected } = await quantizedExport();
    const [received] = await runOnnxModel(model, feeds, { graphOptimizationLevel: 'disabled' });
    expect(signalToNoise(expected.values, received)).toBeGreaterThan(25);
  });

  test('is fused by onnxruntime until nothing with weights is left in float', async () => {
    const { model, feeds } = await quantizedExport();
    const optimizedModelFilePath = join(temporaryFolder(), 'optimized.onnx');
    await runOnnxModel(model, feeds, { graphOptimizationLevel: 'all', optimizedModelFilePath });
    const { graph } = onnx.ModelProto.decode(readFileSync(optimizedModelFilePath));
    const ops = graph!.node!.map(({ opType }) => opType);
    expect(ops.filter((op) => op === 'QLinearConv')).toHaveLength(3);
    expect(ops).toContain('QLinearAdd');
    expect(ops).toContain('QLinearGlobalAveragePool');
    expect(ops).toContain('QGemm');
    expect(ops).not.toEqual(expect.arrayContaining([expect.stringMatching(/^(Conv|Gemm|Add)$/)]));
  });
});
