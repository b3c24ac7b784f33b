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
import { readModelArtifacts } from '../../../src/graph/read-model';
import '../../../src/index.node';
import { MoELayer } from '../../../src/moe/moe-layer';
import { execute } from '../../support/float-graph';
import { expectSamePrediction, savedModel } from '../../support/layers';
import { Random, TEST_SEED } from '../../support/random';

type Layer = InstanceType<typeof layers.Layer>;
type Shape = number[];

const IMAGE: Shape = [6, 7, 3];
const SEQUENCE: Shape = [9, 4];
const VECTOR: Shape = [5];

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

test('every type that can be read is among the cases', () => {
  expect([...LAYER_TYPES.keys()].filter((type) => !tested.has(type))).toEqual([]);
});
