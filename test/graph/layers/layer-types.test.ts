/** Every layer type against TF.js, with drawn weights and inputs. */

import * as tf from '@tensorflow/tfjs-core';
import {
  input,
  type LayersModel,
  layers,
  model as makeModel,
  type SymbolicTensor,
} from '@tensorflow/tfjs-layers';
import { LAYER_TYPES } from '../../../src/graph/layers/layer-types';
import { readModelArtifacts } from '../../../src/graph/read-artifacts';
import '../../../src/index.node';
import { MoELayer } from '../../../src/moe/moe-layer';
import { execute } from '../../support/float-graph';
import { expectSamePrediction, savedModel } from '../../support/layers';
import { Random, TEST_SEED } from '../../support/random';

type Layer = InstanceType<typeof layers.Layer>;
type Shape = number[];

const IMAGE: Shape = [6, 7, 3];
const SEQUENCE: Shape = [9, 4];
const VIDEO: Shape = [4, 6, 7, 2];
const VECTOR: Shape = [5];
const VOLUME: Shape = [4, 5, 6, 2];

type RNN = Parameters<typeof layers.bidirectional>[0]['layer'];

const CASES: [what: string, shape: Shape, make: () => Layer | Layer[]][] = [
  ['MoELayer', VECTOR, () => new MoELayer({ experts: 4, topK: 2, hidden: 6 })],
  ['MoELayer, silu', SEQUENCE, () => new MoELayer({ experts: 3, topK: 1, hidden: 5, activation: 'silu' })],
  ['Conv2D, valid', IMAGE, () => layers.conv2d({ filters: 4, kernelSize: 3 })],
  [
    'Conv2D, same, strides, activation, no bias',
    IMAGE,
    () =>
      layers.conv2d({
        filters: 4,
        kernelSize: [3, 2],
        strides: [2, 1],
        padding: 'same',
        useBias: false,
        activation: 'relu',
      }),
  ],
  [
    'Conv2D, dilated',
    IMAGE,
    () => layers.conv2d({ filters: 2, kernelSize: 3, dilationRate: 2, activation: 'tanh' }),
  ],
  [
    'Conv2D, channels first',
    [3, 6, 7],
    () => layers.conv2d({ filters: 4, kernelSize: 3, dataFormat: 'channelsFirst', activation: 'sigmoid' }),
  ],
  [
    'Conv3D',
    VOLUME,
    () =>
      layers.conv3d({
        filters: 4,
        kernelSize: [2, 3, 1],
        strides: [1, 2, 1],
        padding: 'same',
        activation: 'relu',
      }),
  ],
  ['Conv3D, valid', VOLUME, () => layers.conv3d({ filters: 2, kernelSize: 2, useBias: false })],
  ['MaxPooling3D', VOLUME, () => layers.maxPooling3d({ poolSize: 2, strides: [1, 2, 2], padding: 'same' })],
  ['AveragePooling3D', VOLUME, () => layers.averagePooling3d({ poolSize: [2, 1, 2] })],
  ['SimpleRNN', SEQUENCE, () => layers.simpleRNN({ units: 3, recurrentInitializer: 'glorotNormal' })],
  [
    'SimpleRNN, all steps, backwards, no bias',
    SEQUENCE,
    () =>
      layers.simpleRNN({
        units: 3,
        returnSequences: true,
        goBackwards: true,
        useBias: false,
        activation: 'relu',
        recurrentInitializer: 'glorotNormal',
      }),
  ],
  ['LSTM', SEQUENCE, () => layers.lstm({ units: 5, recurrentInitializer: 'glorotNormal' })],
  [
    'LSTM, all steps, sigmoid, then another',
    SEQUENCE,
    () => [
      layers.lstm({
        units: 3,
        returnSequences: true,
        recurrentActivation: 'sigmoid',
        recurrentInitializer: 'glorotNormal',
      }),
      layers.lstm({ units: 2, goBackwards: true, useBias: false, recurrentInitializer: 'glorotNormal' }),
    ],
  ],
  ['GRU', SEQUENCE, () => layers.gru({ units: 4, recurrentInitializer: 'glorotNormal' })],
  [
    'GRU, all steps, backwards',
    SEQUENCE,
    () =>
      layers.gru({
        units: 4,
        returnSequences: true,
        goBackwards: true,
        recurrentInitializer: 'glorotNormal',
      }),
  ],
  ...(['concat', 'sum', 'mul', 'ave'] as const).map((mergeMode): (typeof CASES)[number] => [
    `Bidirectional, ${mergeMode}`,
    SEQUENCE,
    () => [
      layers.bidirectional({
        layer: layers.gru({ units: 3, returnSequences: true, recurrentInitializer: 'glorotNormal' }) as RNN,
        mergeMode,
      }),
      layers.bidirectional({
        layer: layers.lstm({ units: 2, recurrentInitializer: 'glorotNormal' }) as RNN,
        mergeMode,
      }),
    ],
  ]),
  [
    'ConvLSTM2D',
    VIDEO,
    () => layers.convLstm2d({ filters: 3, kernelSize: 3, recurrentInitializer: 'glorotNormal' }) as Layer,
  ],
  [
    'ConvLSTM2D, all steps, backwards, same, strides, no bias, then a dilated one',
    VIDEO,
    () =>
      [
        layers.convLstm2d({
          filters: 2,
          kernelSize: [3, 2],
          strides: 2,
          padding: 'same',
          returnSequences: true,
          goBackwards: true,
          useBias: false,
          recurrentActivation: 'sigmoid',
          recurrentInitializer: 'glorotNormal',
        }),
        layers.convLstm2d({
          filters: 3,
          kernelSize: 2,
          dilationRate: 2,
          activation: 'relu',
          recurrentInitializer: 'glorotNormal',
        }),
      ] as Layer[],
  ],
  ['Conv1D, valid', SEQUENCE, () => layers.conv1d({ filters: 3, kernelSize: 3 })],
  [
    'Conv1D, same, strides',
    SEQUENCE,
    () => layers.conv1d({ filters: 3, kernelSize: 4, strides: 2, padding: 'same', activation: 'softmax' }),
  ],
  ['Conv1D, dilated', SEQUENCE, () => layers.conv1d({ filters: 3, kernelSize: 2, dilationRate: 3 })],
  ['DepthwiseConv2D', IMAGE, () => layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 })],
  [
    'DepthwiseConv2D, same, strides',
    IMAGE,
    () =>
      layers.depthwiseConv2d({
        kernelSize: [2, 3],
        strides: 2,
        padding: 'same',
        activation: 'relu6',
        useBias: false,
      }),
  ],
  ['SeparableConv2D', IMAGE, () => layers.separableConv2d({ filters: 5, kernelSize: 3 })],
  [
    'SeparableConv2D, same, strides',
    IMAGE,
    () =>
      layers.separableConv2d({ filters: 5, kernelSize: 3, strides: 2, padding: 'same', activation: 'elu' }),
  ],
  ['Conv2DTranspose, valid', IMAGE, () => layers.conv2dTranspose({ filters: 2, kernelSize: 3, strides: 2 })],
  [
    'Conv2DTranspose, kernel below stride',
    IMAGE,
    () => layers.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 3 }),
  ],
  [
    'Conv2DTranspose, same',
    IMAGE,
    () =>
      layers.conv2dTranspose({
        filters: 2,
        kernelSize: [3, 4],
        strides: [2, 1],
        padding: 'same',
        activation: 'relu',
      }),
  ],
  ['Dense', VECTOR, () => layers.dense({ units: 4, activation: 'softmax' })],
  ['Dense over a sequence', SEQUENCE, () => layers.dense({ units: 3, activation: 'relu' })],
  ['Dense over an image', IMAGE, () => layers.dense({ units: 2, useBias: false })],
  ['BatchNormalization of a vector', VECTOR, () => layers.batchNormalization({ epsilon: 0.01 })],
  ['BatchNormalization of a sequence', SEQUENCE, () => layers.batchNormalization({ scale: false })],
  ['BatchNormalization of an image', IMAGE, () => layers.batchNormalization({ center: false })],
  ['LayerNormalization', SEQUENCE, () => layers.layerNormalization({})],
  [
    'LayerNormalization along two axes',
    IMAGE,
    () => layers.layerNormalization({ axis: [1, 3], center: false }),
  ],
  ['MaxPooling2D', IMAGE, () => layers.maxPooling2d({})],
  ['MaxPooling2D, same', IMAGE, () => layers.maxPooling2d({ poolSize: 3, strides: [1, 2], padding: 'same' })],
  [
    'MaxPooling2D, channels first',
    IMAGE,
    () => layers.maxPooling2d({ poolSize: 2, dataFormat: 'channelsFirst' }),
  ],
  ['AveragePooling2D', IMAGE, () => layers.averagePooling2d({ poolSize: [2, 3] })],
  [
    'AveragePooling2D, same',
    IMAGE,
    () => layers.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
  ],
  ['MaxPooling1D', SEQUENCE, () => layers.maxPooling1d({ poolSize: 3, strides: 2 })],
  ['AveragePooling1D', SEQUENCE, () => layers.averagePooling1d({ poolSize: 2, padding: 'same' })],
  ['GlobalMaxPooling1D', SEQUENCE, () => layers.globalMaxPooling1d()],
  ['GlobalMaxPooling2D', IMAGE, () => layers.globalMaxPooling2d({})],
  [
    'GlobalMaxPooling2D, channels first',
    IMAGE,
    () => layers.globalMaxPooling2d({ dataFormat: 'channelsFirst' }),
  ],
  ['GlobalAveragePooling1D', SEQUENCE, () => layers.globalAveragePooling1d()],
  ['GlobalAveragePooling2D', IMAGE, () => layers.globalAveragePooling2d({})],
  ['Flatten', IMAGE, () => layers.flatten()],
  ['Reshape', IMAGE, () => layers.reshape({ targetShape: [2, -1] })],
  ['Permute', IMAGE, () => layers.permute({ dims: [2, 3, 1] })],
  ['RepeatVector', VECTOR, () => layers.repeatVector({ n: 3 })],
  [
    'ZeroPadding2D',
    IMAGE,
    () =>
      layers.zeroPadding2d({
        padding: [
          [1, 0],
          [2, 3],
        ],
      }),
  ],
  [
    'ZeroPadding2D, channels first',
    IMAGE,
    () => layers.zeroPadding2d({ padding: 2, dataFormat: 'channelsFirst' }),
  ],
  [
    'Cropping2D',
    IMAGE,
    () =>
      layers.cropping2D({
        cropping: [
          [1, 0],
          [2, 1],
        ],
      }),
  ],
  [
    'Cropping2D, channels first',
    IMAGE,
    () =>
      layers.cropping2D({
        cropping: [
          [1, 2],
          [0, 1],
        ],
        dataFormat: 'channelsFirst',
      }),
  ],
  ['UpSampling2D', IMAGE, () => layers.upSampling2d({ size: [2, 3] })],
  ['UpSampling2D, bilinear', IMAGE, () => layers.upSampling2d({ size: [3, 2], interpolation: 'bilinear' })],
  ['Rescaling', IMAGE, () => layers.rescaling({ scale: 0.25, offset: -1 })],
  ['CenterCrop', IMAGE, () => layers.centerCrop({ height: 3, width: 6 })],
  ['CenterCrop of the whole width', IMAGE, () => layers.centerCrop({ height: 4, width: 7 })],
  ['CenterCrop that enlarges', IMAGE, () => layers.centerCrop({ height: 8, width: 6 })],
  [
    'Embedding',
    VECTOR,
    () => [layers.reLU({ maxValue: 3 }), layers.embedding({ inputDim: 4, outputDim: 3 })],
  ],
  ['ReLU', IMAGE, () => layers.reLU({})],
  ['ReLU up to 6', IMAGE, () => layers.reLU({ maxValue: 6 })],
  ['ReLU up to 1', IMAGE, () => layers.reLU({ maxValue: 1 })],
  ['LeakyReLU', IMAGE, () => layers.leakyReLU({ alpha: 0.2 })],
  ['PReLU', IMAGE, () => layers.prelu({})],
  ['PReLU with shared axes', IMAGE, () => layers.prelu({ sharedAxes: [1, 2] })],
  ['ELU', IMAGE, () => layers.elu({})],
  ['ThresholdedReLU', IMAGE, () => layers.thresholdedReLU({ theta: 0.7 })],
  ['Softmax', IMAGE, () => layers.softmax({ axis: -1 })],
  ['Dropout', IMAGE, () => layers.dropout({ rate: 0.5 })],
  ['SpatialDropout1D', SEQUENCE, () => layers.spatialDropout1d({ rate: 0.5 })],
  ['GaussianNoise', IMAGE, () => layers.gaussianNoise({ stddev: 1 })],
  ['GaussianDropout', IMAGE, () => layers.gaussianDropout({ rate: 0.5 })],
  ['AlphaDropout', IMAGE, () => layers.alphaDropout({ rate: 0.5 })],
  ['TimeDistributed, Dense', SEQUENCE, () => layers.timeDistributed({ layer: layers.dense({ units: 3 }) })],
  [
    'TimeDistributed, Conv2D',
    [2, ...IMAGE],
    () => layers.timeDistributed({ layer: layers.conv2d({ filters: 2, kernelSize: 3 }) }),
  ],
  ['TimeDistributed, Flatten', [2, ...IMAGE], () => layers.timeDistributed({ layer: layers.flatten() })],
];

const ACTIVATIONS = [
  ...[
    'linear',
    'relu',
    'relu6',
    'elu',
    'selu',
    'sigmoid',
    'hardSigmoid',
    'tanh',
    'softplus',
    'softsign',
    'softmax',
  ],
  ...['logSoftmax', 'swish', 'mish', 'gelu'],
];

/** Layers one after the other. The model's first dimension, the batch, stays open. */
function modelOf(shape: Shape, made: Layer | Layer[]): LayersModel {
  const x = input({ shape });
  const outputs = [made].flat().reduce((y, layer) => layer.apply(y) as SymbolicTensor, x);
  return makeModel({ inputs: x, outputs });
}

function merging(layer: Layer, shapes: Shape[]): LayersModel {
  const inputs = shapes.map((shape) => input({ shape }));
  return makeModel({ inputs, outputs: layer.apply(inputs) as SymbolicTensor });
}

const random = () => new Random(TEST_SEED);
const tested = new Set<string>();

async function expectSame(model: LayersModel) {
  for (const layer of model.layers) tested.add(layer.getClassName());
  const graph = await expectSamePrediction(model, random());
  expect(graph.inputs[0].shape?.[0]).toBe(-1);
  expect(graph.outputs[0].shape?.[0]).toBe(-1);
}

test.each(CASES)('%s', async (_, shape, make) => {
  await expectSame(modelOf(shape, make()));
});

test.each(ACTIVATIONS)('Activation %s', async (activation) => {
  await expectSame(modelOf(IMAGE, layers.activation({ activation: activation as 'relu' })));
});

test.each<[string, () => Layer, Shape[]]>([
  ['Add', () => layers.add(), [IMAGE, IMAGE, IMAGE]],
  ['Add of other ranks', () => layers.add(), [IMAGE, [7, 3], [3]]],
  ['Multiply, broadcast', () => layers.multiply(), [IMAGE, [1, 1, 3]]],
  ['Average', () => layers.average(), [SEQUENCE, SEQUENCE, SEQUENCE]],
  ['Maximum', () => layers.maximum(), [IMAGE, IMAGE]],
  ['Minimum', () => layers.minimum(), [VECTOR, VECTOR]],
  ['Concatenate', () => layers.concatenate(), [IMAGE, [6, 7, 2]]],
  ['Concatenate along the height', () => layers.concatenate({ axis: 1 }), [IMAGE, [2, 7, 3]]],
  ['Dot of vectors', () => layers.dot({ axes: 1 }), [VECTOR, VECTOR]],
  ['Dot of vectors, normalized', () => layers.dot({ axes: -1, normalize: true }), [VECTOR, VECTOR]],
  [
    'Dot of matrices',
    () => layers.dot({ axes: [2, 1] }),
    [
      [3, 4],
      [4, 5],
    ],
  ],
  [
    'Dot of matrices, both transposed',
    () => layers.dot({ axes: [1, 2] }),
    [
      [4, 3],
      [5, 4],
    ],
  ],
  ['Dot of a matrix and a vector', () => layers.dot({ axes: [2, 1] }), [[3, 4], [4]]],
  ['Dot of a vector and a matrix', () => layers.dot({ axes: [1, 1] }), [[4], [4, 3]]],
])('%s', async (_, make, shapes) => {
  await expectSame(merging(make(), shapes));
});

test('SeparableConv2D with several channels for one', async () => {
  const make = (depthMultiplier: number) =>
    modelOf(IMAGE, layers.separableConv2d({ filters: 5, kernelSize: 3, depthMultiplier, name: 'separable' }));
  // TF.js does not save the multiplier, Keras does.
  const saved = JSON.parse(JSON.stringify(await savedModel(make(1))));
  saved.modelTopology.config.layers[1].config.depth_multiplier = 2;
  await expectSamePrediction(make(2), random(), saved.modelTopology);
});

test('BatchNormalization along another axis, where TF.js takes the last on the CPU', async () => {
  const permuted = modelOf(IMAGE, [
    layers.permute({ dims: [2, 3, 1] }),
    layers.batchNormalization({}),
    layers.permute({ dims: [3, 1, 2] }),
  ]);
  await expectSamePrediction(
    permuted,
    random(),
    (await savedModel(modelOf(IMAGE, layers.batchNormalization({ axis: 1, name: permuted.layers[2].name }))))
      .modelTopology,
  );
});

test.each([
  { interpolation: 'bilinear', cropToAspectRatio: false },
  { interpolation: 'nearest', cropToAspectRatio: true },
] as const)('Resizing %o, which TF.js can only call outside of a model', async (options) => {
  const layer = layers.resizing({ height: 9, width: 4, ...options });
  const saved = await savedModel(modelOf(IMAGE, layer));
  const x = tf.randomUniform<tf.Rank.R4>([2, 6, 7, 3]);
  const expected = layer.call(x, {}) as tf.Tensor;
  const graph = await readModelArtifacts(saved);
  const [received] = await execute(graph, {
    [graph.inputs[0].name]: { shape: x.shape, values: x.dataSync() as Float32Array },
  });
  expect(received.shape).toEqual(expected.shape);
  expect(Array.from(received.values)).toEqual(Array.from(expected.dataSync()));
  tested.add('Resizing');
});

/** A layers model of one layer that TF.js does not load, on several inputs [batch, steps, features]. */
function written(
  type: string,
  config: Record<string, unknown>,
  shapes: readonly number[][],
  weights: Record<string, tf.Tensor>,
): tf.io.ModelArtifacts {
  const names = shapes.map((_, i) => `x${i}`);
  const inputs = shapes.map((shape, i) => ({
    class_name: 'InputLayer',
    name: names[i],
    config: { name: names[i], batch_input_shape: [null, ...shape], dtype: 'float32' },
    inbound_nodes: [],
  }));
  const layer = {
    class_name: type,
    name: 'layer',
    config: { name: 'layer', ...config },
    inbound_nodes: [names.map((name) => [name, 0, 0, {}])],
  };
  const entries = Object.entries(weights);
  const bytes = Buffer.concat(entries.map(([, w]) => Buffer.from(w.dataSync().slice().buffer)));
  return {
    format: 'layers-model',
    modelTopology: {
      class_name: 'Functional',
      keras_version: '3.5.0',
      config: {
        name: 'model',
        layers: [...inputs, layer],
        input_layers: names.map((name) => [name, 0, 0]),
        output_layers: [['layer', 0, 0]],
      },
    },
    weightSpecs: entries.map(([name, { shape }]) => ({
      name: `layer/${name}`,
      shape,
      dtype: 'float32' as const,
    })),
    weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
  };
}

async function expectComputes(
  saved: tf.io.ModelArtifacts,
  inputs: tf.Tensor[],
  expected: tf.Tensor,
): Promise<void> {
  const graph = await readModelArtifacts(saved);
  const feeds = graph.inputs.map(({ name }, i) => {
    return [name, { shape: inputs[i].shape, values: inputs[i].dataSync() as Float32Array }] as const;
  });
  const [received] = await execute(graph, Object.fromEntries(feeds));
  expect(received.shape).toEqual(expected.shape);
  const values = expected.dataSync();
  expect(Math.max(...received.values.map((v, i) => Math.abs(v - values[i])))).toBeLessThan(1e-5);
}

/** softmax(q k^T) v of matrices, as written down in the paper. */
function attend(q: tf.Tensor2D, k: tf.Tensor2D, v: tf.Tensor2D, scale: number): tf.Tensor2D {
  return tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), scale)), v);
}

test('MultiHeadAttention and Attention, head by head', async () => {
  await tf.setBackend('cpu');
  const draw = (...shape: number[]) => tf.randomUniform(shape, -1, 1, 'float32', 7 + shape.length);
  const [query, value] = [draw(1, 4, 6), draw(1, 5, 3)];
  const sizes = { query: [6, 2, 3], key: [3, 2, 3], value: [3, 2, 4] };
  const weights: Record<string, tf.Tensor> = {};
  for (const [name, [from, heads, size]] of Object.entries(sizes)) {
    weights[`${name}/kernel`] = draw(from, heads, size);
    weights[`${name}/bias`] = draw(heads, size);
  }
  weights['attention_output/kernel'] = draw(2, 4, 6);
  weights['attention_output/bias'] = draw(6);
  const rows = (x: tf.Tensor) => tf.reshape(x, [x.shape[1]!, x.shape[2]!]) as tf.Tensor2D;
  const part = (x: tf.Tensor, name: string, head: number) => {
    const kernel = tf.gather(weights[`${name}/kernel`], head, 1) as tf.Tensor2D;
    return tf.add(tf.matMul(rows(x), kernel), tf.gather(weights[`${name}/bias`], head, 0)) as tf.Tensor2D;
  };
  const heads = [0, 1].map((head) => {
    const mixed = attend(
      part(query, 'query', head),
      part(value, 'key', head),
      part(value, 'value', head),
      1 / Math.sqrt(3),
    );
    return tf.matMul(mixed, tf.gather(weights['attention_output/kernel'], head, 0) as tf.Tensor2D);
  });
  const expected = tf.expandDims(tf.add(tf.add(heads[0], heads[1]), weights['attention_output/bias']), 0);
  const config = { num_heads: 2, key_dim: 3, value_dim: 4, use_bias: true, attention_axes: [1] };
  const shapes = [
    [4, 6],
    [5, 3],
  ];
  await expectComputes(written('MultiHeadAttention', config, shapes, weights), [query, value], expected);
  tested.add('MultiHeadAttention');

  const other = draw(1, 5, 6);
  const plain = written(
    'Attention',
    { use_scale: true, score_mode: 'dot' },
    [
      [4, 6],
      [5, 6],
    ],
    { scale: tf.scalar(0.3) },
  );
  await expectComputes(
    plain,
    [query, other],
    tf.expandDims(attend(rows(query), rows(other), rows(other), 0.3), 0),
  );
  tested.add('Attention');
});

test('GRU with its reset gate after the product, as Keras writes it', async () => {
  await tf.setBackend('cpu');
  const [steps, features, units] = [4, 3, 2];
  const draw = (...shape: number[]) => tf.randomUniform(shape, -1, 1, 'float32', 11 + shape.length);
  const x = draw(1, steps, features);
  const weights = { kernel: draw(features, 6), recurrent_kernel: draw(units, 6), bias: draw(2, 6) };
  const [w, r, b] = [weights.kernel, weights.recurrent_kernel, weights.bias].map(
    (t) => t.arraySync() as number[][],
  );
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  let h = [0, 0];
  for (const row of (x.arraySync() as number[][][])[0]) {
    const times = (v: number[], m: number[][], c: number) =>
      v.reduce((sum, value, i) => sum + value * m[i][c], 0);
    const own = [0, 1, 2, 3, 4, 5].map((c) => times(row, w, c) + b[0][c]);
    const past = [0, 1, 2, 3, 4, 5].map((c) => times(h, r, c) + b[1][c]);
    h = h.map((before, u) => {
      const [z, reset] = [sigmoid(own[u] + past[u]), sigmoid(own[2 + u] + past[2 + u])];
      return z * before + (1 - z) * Math.tanh(own[4 + u] + reset * past[4 + u]);
    });
  }
  await expectComputes(
    written('GRU', { units, reset_after: true }, [[steps, features]], weights),
    [x],
    tf.tensor2d([h]),
  );
});

test('UpSampling2D and Resizing of Keras 3 take the centres of pixels, nearest ones are repeated', async () => {
  await tf.setBackend('cpu');
  const x = tf.randomUniform<tf.Rank.R4>([1, 3, 4, 2]);
  const up = (interpolation: string) =>
    written('UpSampling2D', { size: [2, 3], interpolation }, [[3, 4, 2]], {});
  await expectComputes(up('bilinear'), [x], tf.image.resizeBilinear(x, [6, 12], false, true));
  await expectComputes(up('nearest'), [x], tf.image.resizeNearestNeighbor(x, [6, 12]));
  const resizing = written('Resizing', { height: 5, width: 7, interpolation: 'bilinear' }, [[3, 4, 2]], {});
  await expectComputes(resizing, [x], tf.image.resizeBilinear(x, [5, 7], false, true));
});

test('Keras 3 has another hard sigmoid', async () => {
  await tf.setBackend('cpu');
  const x = tf.reshape(tf.linspace(-5, 5, 11), [1, 11]);
  const saved = written('Activation', { activation: 'hard_sigmoid' }, [[11]], {});
  await expectComputes(saved, [x], tf.clipByValue(tf.add(tf.div(x, 6), 0.5), 0, 1));
});

test('layers that grow images of an open size', async () => {
  const grown = makeModel(
    (() => {
      const x = input({ shape: [null, null, 3] });
      const up = layers.upSampling2d({ size: [2, 3], interpolation: 'bilinear' }).apply(x) as SymbolicTensor;
      const same = layers
        .conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' })
        .apply(up);
      const y = layers
        .conv2dTranspose({ filters: 2, kernelSize: 4, strides: 3 })
        .apply(same as SymbolicTensor);
      return { inputs: x, outputs: y as SymbolicTensor };
    })(),
  );
  const graph = await expectSamePrediction(grown, random());
  expect(graph.outputs[0].shape).toEqual([-1, -1, -1, 2]);
});

test('every type that can be read is among the cases', () => {
  expect([...LAYER_TYPES.keys()].filter((type) => !tested.has(type))).toEqual([]);
});
