/** How layers of a layers model are connected, and the forms in which models are written. */
import * as tf from '@tensorflow/tfjs-core';
import {
  input,
  type LayersModel,
  layers,
  loadLayersModel,
  model as makeModel,
  type SymbolicTensor,
  sequential,
} from '@tensorflow/tfjs-layers';
import { LowbitError } from '../../src/base/errors';
import { readModelArtifacts } from '../../src/graph/read-artifacts';
import { readModel } from '../../src/graph/read-model';
import { fileSystem } from '../../src/loading/file-system';
import { optimize } from '../../src/passes/pipeline';
import { ops } from '../support/float-graph';
import { expectPrediction, expectSamePrediction, savedModel } from '../support/layers';
import { Random, TEST_SEED } from '../support/random';
import { describeWithShared, shared } from '../support/shared';

// biome-ignore lint/suspicious/noExplicitAny: what JSON.parse gives
type Json = any;

const random = () => new Random(TEST_SEED);

function apply(layer: InstanceType<typeof layers.Layer>, ...inputs: SymbolicTensor[]): SymbolicTensor {
  return layer.apply(inputs.length === 1 ? inputs[0] : inputs) as SymbolicTensor;
}

function smallNet(): LayersModel {
  return sequential({
    layers: [
      layers.conv2d({ inputShape: [8, 8, 3], filters: 4, kernelSize: 3, padding: 'same', name: 'conv' }),
      layers.batchNormalization({ name: 'norm' }),
      layers.reLU({ maxValue: 6, name: 'relu' }),
      layers.flatten({ name: 'flat' }),
      layers.dense({ units: 3, activation: 'softmax', name: 'classes' }),
    ],
  });
}

let net: ReturnType<typeof savedModel>;
beforeAll(() => {
  net = savedModel(smallNet());
});

/** The topology of the small net, changed. */
async function changed(change: (layers: Json[], topology: Json) => unknown) {
  const saved = await net;
  const topology = JSON.parse(JSON.stringify(saved.modelTopology));
  change(topology.config.layers, topology);
  return { ...saved, modelTopology: topology };
}

describe('reads', () => {
  test('a sequential model, under the names of its layers', async () => {
    const graph = await expectSamePrediction(smallNet(), random());
    expect(graph.inputs.map((i) => i.name)).toEqual(['conv_input']);
    expect(graph.outputs).toMatchObject([{ name: 'classes', shape: [-1, 3] }]);
    expect([...graph.nodes.keys()]).toContain('conv/kernel');
    expect(ops(optimize(graph).graph)).toEqual(['_FusedConv2D', 'Reshape', '_FusedMatMul', 'Softmax']);
  });

  test('several inputs and outputs, one of them an input and one given twice', async () => {
    const [a, b] = [input({ shape: [4], name: 'a' }), input({ shape: [4], name: 'b' })];
    const sum = apply(layers.add({ name: 'sum' }), a, b);
    const dense = layers.dense({ units: 2, name: 'scores' });
    const outputs = [apply(dense, sum), sum, apply(layers.dropout({ rate: 0.5, name: 'same' }), a)];
    const graph = await expectSamePrediction(makeModel({ inputs: [b, a], outputs }), random());
    expect(graph.inputs.map((i) => i.name)).toEqual(['b', 'a']);
    expect(graph.outputs.map((o) => o.name)).toEqual(['scores', 'sum', 'same']);
  });

  test('a layer called on several tensors: its weights are there once', async () => {
    const [a, b] = [input({ shape: [5, 5, 2] }), input({ shape: [5, 5, 2] })];
    const conv = layers.conv2d({ filters: 3, kernelSize: 3, name: 'shared' });
    const x = apply(layers.concatenate(), apply(conv, a), apply(conv, b));
    const again = layers.dense({ units: 6, name: 'dense' });
    const graph = await expectSamePrediction(
      makeModel({ inputs: [a, b], outputs: apply(again, apply(again, x)) }),
      random(),
    );
    expect([...graph.constants.keys()].filter((name) => name.startsWith('shared'))).toEqual([
      'shared/kernel',
      'shared/bias',
    ]);
    expect(ops(graph).filter((op) => op === 'Conv2D')).toHaveLength(4);
  });

  test('nested models, called twice, with several outputs', async () => {
    const inner = input({ shape: [6, 6, 3] });
    const features = apply(layers.conv2d({ filters: 4, kernelSize: 3, name: 'inner_conv' }), inner);
    const pooled = apply(layers.globalAveragePooling2d({ name: 'inner_pool' }), features);
    const backbone = makeModel({ inputs: inner, outputs: [features, pooled], name: 'backbone' });
    const head = sequential({
      name: 'head',
      layers: [layers.dense({ inputShape: [4], units: 2, name: 'head_dense' }), layers.elu({})],
    });
    const [a, b] = [input({ shape: [6, 6, 3] }), input({ shape: [6, 6, 3] })];
    const [featuresA, pooledA] = backbone.apply(a) as SymbolicTensor[];
    const [, pooledB] = backbone.apply(b) as SymbolicTensor[];
    const outputs = [apply(layers.add(), apply(head, pooledA), apply(head, pooledB)), featuresA];
    const graph = await expectSamePrediction(makeModel({ inputs: [a, b], outputs }), random());
    expect([...graph.nodes.keys()]).toContain('backbone/inner_conv/Conv2D');
    expect(graph.constants.size).toBe(new Set([...graph.constants.values()]).size);
  });

  test('a sequential model whose first layer is a model', async () => {
    const model = sequential({ layers: [smallNet(), layers.dense({ units: 2, name: 'last' })] });
    const graph = await expectSamePrediction(model, random());
    expect(graph.inputs.map((i) => i.name)).toEqual(['conv_input']);
  });

  test('convolutions over a sequence without a change of layout between them', async () => {
    const model = sequential({
      layers: [
        layers.conv1d({ inputShape: [12, 4], filters: 5, kernelSize: 3, padding: 'same' }),
        layers.batchNormalization({}),
        layers.activation({ activation: 'relu' }),
        layers.maxPooling1d({ poolSize: 2 }),
        layers.conv1d({ filters: 3, kernelSize: 3 }),
        layers.globalAveragePooling1d(),
      ],
    });
    const graph = await expectSamePrediction(model, random());
    expect(ops(optimize(graph).graph)).toEqual([
      'ExpandDims',
      '_FusedConv2D',
      'MaxPool',
      '_FusedConv2D',
      'Mean',
    ]);
  });

  test('a channels-first model, transposed once', async () => {
    const options = { dataFormat: 'channelsFirst' } as const;
    const a = input({ shape: [3, 8, 8] });
    const x = apply(layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', ...options }), a);
    const y = apply(layers.reLU({}), apply(layers.conv2d({ filters: 4, kernelSize: 1, ...options }), x));
    const merged = apply(layers.concatenate({ axis: 1 }), apply(layers.add(), x, y), x);
    const outputs = apply(
      layers.globalAveragePooling2d(options),
      apply(layers.maxPooling2d(options), merged),
    );
    const graph = await expectSamePrediction(makeModel({ inputs: a, outputs }), random());
    expect(ops(graph).filter((op) => op === 'Transpose')).toHaveLength(1);
  });
});

describe('forms', () => {
  async function sameGraph(saved: tf.io.ModelArtifacts, reference: tf.io.ModelArtifacts) {
    const [graph, expected] = [await readModelArtifacts(saved), await readModelArtifacts(reference)];
    expect([...graph.nodes.values()]).toEqual([...expected.nodes.values()]);
    expect([...graph.constants.values()]).toEqual([...expected.constants.values()]);
  }

  test('the topology inside model_config, and a list of layers as the config of a sequential model', async () => {
    const saved = await net;
    await sameGraph({ ...saved, modelTopology: { model_config: saved.modelTopology as object } }, saved);
    await sameGraph(await changed((list, topology) => (topology.config = list)), saved);
  });

  test('camelCase keys', async () => {
    const saved = await changed(([conv]) => {
      conv.config = { ...conv.config, kernelSize: [3, 3], kernel_size: undefined };
    });
    await sameGraph(saved, await net);
  });

  test('what Keras 3 writes: batch_shape, histories of tensors, weights by number', async () => {
    const a = input({ shape: [4], name: 'a' });
    const x = apply(layers.batchNormalization({ name: 'norm' }), a);
    const model = makeModel({ inputs: a, outputs: apply(layers.add({ name: 'sum' }), a, x) });
    const saved = await savedModel(model);
    const topology = JSON.parse(JSON.stringify(saved.modelTopology));
    const tensor = (name: string) => ({
      class_name: '__keras_tensor__',
      config: { shape: [null, 4], dtype: 'float32', keras_history: [name, 0, 0] },
    });
    const [inputLayer, norm, sum] = topology.config.layers;
    inputLayer.config = {
      batch_shape: [null, 4],
      dtype: { class_name: 'DTypePolicy', config: { name: 'float32' } },
      name: 'a',
    };
    norm.inbound_nodes = [{ args: [tensor('a')], kwargs: { mask: null } }];
    sum.inbound_nodes = [{ args: [[tensor('a'), tensor('norm')]], kwargs: {} }];
    topology.config.input_layers = ['a', 0, 0];
    topology.config.output_layers = ['sum', 0, 0];
    const weightSpecs = saved.weightSpecs!.map((spec, i) => ({ ...spec, name: `norm/${i}` }));
    await sameGraph({ ...saved, modelTopology: topology, weightSpecs }, saved);
  });

  test('weights in 8 bits', async () => {
    const model = sequential({
      layers: [layers.dense({ inputShape: [4], units: 2, useBias: false, name: 'd' })],
    });
    const saved = await savedModel(model);
    const quantization = { dtype: 'uint8' as const, scale: 0.5, min: -1 };
    const { constants } = await readModelArtifacts({
      ...saved,
      weightSpecs: [{ ...saved.weightSpecs![0], quantization }],
      weightData: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7).buffer,
    });
    expect([...constants.get('d/kernel')!.values]).toEqual([-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5]);
  });
});

describe('weights of Keras 3', () => {
  /** Names of weights as Keras 3 writes them, after the models that a layer stands in. */
  async function renamed(model: LayersModel, rename: (name: string) => string) {
    const saved = await savedModel(model);
    const topology = { ...(saved.modelTopology as Json), keras_version: '3.5.0' };
    const weightSpecs = saved.weightSpecs!.map((spec) => ({ ...spec, name: rename(spec.name) }));
    return { saved, changed: { ...saved, modelTopology: topology, weightSpecs } };
  }

  const weightsOf = async (artifacts: tf.io.ModelArtifacts) =>
    new Map(
      [...(await readModelArtifacts(artifacts)).constants].map(([name, { values }]) => [name, [...values]]),
    );

  test('of a Sequential stand after its name', async () => {
    const { saved, changed: keras } = await renamed(smallNet(), (name) => `outer/${name}`);
    expect(await weightsOf(keras)).toEqual(await weightsOf(saved));
  });

  test('of a depthwise convolution are called `kernel`', async () => {
    const model = sequential({
      layers: [layers.depthwiseConv2d({ inputShape: [8, 8, 3], kernelSize: 3, name: 'depthwise' })],
    });
    const { saved, changed: keras } = await renamed(
      model,
      (name) => `outer/${name.replace('depthwise_kernel', 'kernel')}`,
    );
    expect(keras.weightSpecs[0].name).toBe('outer/depthwise/kernel');
    expect(await weightsOf(keras)).toEqual(await weightsOf(saved));
  });

  test('of two nested models with layers of one name are told apart', async () => {
    const part = (name: string) =>
      sequential({ name, layers: [layers.dense({ units: 4, inputShape: [4], name: 'dense' })] });
    const nested = sequential({ name: 'outer', layers: [part('first'), part('second')] });
    const saved = await savedModel(nested);
    const names = [
      'outer/first/dense/kernel',
      'outer/first/dense/bias',
      'outer/second/dense/kernel',
      'outer/second/dense/bias',
    ];
    const weightSpecs = saved.weightSpecs!.map((spec, i) => ({ ...spec, name: names[i] }));
    const keras = { ...saved, weightSpecs };
    const graph = await readModelArtifacts(keras);
    const kernels = [...graph.nodes.values()]
      .filter(({ op }) => op === 'MatMul')
      .map(({ inputs }) => inputs[1].node);
    const values = kernels.map((name) => [...graph.constants.get(name)!.values]);
    const expected = nested
      .getWeights()
      .filter((w) => w.rank === 2)
      .map((w) => Array.from(w.dataSync()));
    expect(values).toEqual(expected);
  });
});

test("layers of a person's own are all named, with what to do", async () => {
  const saved = await changed((list) => {
    list[1].class_name = 'Lambda';
    list[2].class_name = 'MyActivation';
  });
  const error = await readModelArtifacts(saved).catch((e) => e);
  expect(error).toBeInstanceOf(LowbitError);
  expect(error.message).toMatch(/'norm' \(Lambda\), 'relu' \(MyActivation\): .*tfjs_graph_model/);
});

test('steps that are left open are refused, with what to do', async () => {
  const open = sequential({
    layers: [
      layers.lstm({ units: 2, inputShape: [null, 3], name: 'memory', recurrentInitializer: 'glorotNormal' }),
    ],
  });
  await expect(readModelArtifacts(await savedModel(open))).rejects.toThrow(
    /'memory' \(LSTM\): its input leaves the number of steps open.*tfjs_graph_model/,
  );
});

describe('refuses, naming the layer and its type', () => {
  const rejection = async (saved: tf.io.ModelArtifacts) =>
    (await readModelArtifacts(saved).catch((error) => error)) as LowbitError;

  test.each<[string, Parameters<typeof changed>[0], RegExp]>([
    [
      'a type that is not known',
      ([, norm]) => (norm.class_name = 'Masking'),
      /'norm' \(Masking\): .*cannot be read/,
    ],
    [
      'an activation that is not known',
      (l) => (l[4].config.activation = 'sine'),
      /'classes' \(Dense\): .*'sine'/,
    ],
    [
      'a missing size',
      ([conv]) => delete conv.config.kernel_size,
      /'conv' \(Conv2D\): .*kernel_size.*nothing/,
    ],
    ['a wrong size', ([conv]) => (conv.config.strides = [0, 1]), /'conv' \(Conv2D\): .*strides.*\[0,1\]/],
    ['groups', ([conv]) => (conv.config.groups = 2), /'conv' \(Conv2D\): its groups is 2.*TF.js ignores it/],
    [
      'a leaky ReLU in disguise',
      (l) => (l[2].config.negative_slope = 0.1),
      /'relu' \(ReLU\): its negative_slope/,
    ],
    [
      'a padding that is not known',
      ([conv]) => (conv.config.padding = 'causal'),
      /'valid' or 'same' for padding/,
    ],
    [
      'weights of another shape',
      (l) => (l[4].config.units = 5),
      /'classes' \(Dense\): .*\[256,5\].*\[256,3\]/,
    ],
    [
      'weights that are missing',
      ([, norm]) => (norm.config.name = 'other'),
      /'other' \(BatchNorm.*'other\/gamma'/,
    ],
    [
      'an input without a shape',
      ([conv]) => delete conv.config.batch_input_shape,
      /'conv' \(Conv2D\): .*batch_input_shape/,
    ],
    [
      'an input of an open size',
      ([conv]) => (conv.config.batch_input_shape = [null, null, 8, 3]),
      /'flat' \(Flatten\): .*must be known/,
    ],
    ['two layers of one name', ([, norm]) => (norm.config.name = 'conv'), /two layers have the name 'conv'/],
    ['no layers', (_, topology) => (topology.config.layers = []), /expected a list of layers/],
    ['a model of another type', (_, topology) => (topology.class_name = 'Subclassed'), /\(Subclassed\)/],
  ])('%s', async (_, change, message) => {
    const error = await rejection(await changed(change));
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(LowbitError);
  });

  async function functional(change: (layers: Json[], config: Json) => unknown) {
    const a = input({ shape: [4], name: 'a' });
    const x = apply(layers.dense({ units: 4, name: 'dense' }), a);
    const saved = await savedModel(
      makeModel({ inputs: a, outputs: apply(layers.add({ name: 'sum' }), a, x) }),
    );
    const { config } = saved.modelTopology as Json;
    change(config.layers, config);
    return rejection(saved);
  }

  test.each<[string, Parameters<typeof functional>[0], RegExp]>([
    [
      'a cycle',
      ([, dense]) => (dense.inbound_nodes[0][0][0] = 'sum'),
      /'dense' \(Dense\) reads 'sum'.*cycle/,
    ],
    ['a layer that is missing', ([, dense]) => (dense.inbound_nodes[0][0][0] = 'b'), /reads 'b'.*missing/],
    [
      'a call in training mode',
      ([, dense]) => (dense.inbound_nodes[0][0][3] = { training: true }),
      /training mode/,
    ],
    [
      'a malformed reference',
      ([, dense]) => (dense.inbound_nodes[0][0] = ['a']),
      /\[layer, call, tensor\].*\["a"\]/,
    ],
    ['an output that is missing', (_, config) => (config.output_layers = [['b', 0, 0]]), /output 'b'/],
    [
      'an input that is none',
      (_, config) => (config.input_layers = [['dense', 0, 0]]),
      /'dense' is not an InputLayer/,
    ],
  ])('%s', async (_, change, message) => {
    const error = await functional(change);
    expect(error.message).toMatch(message);
    expect(error).toMatchObject({ code: 'invalid-model' });
  });

  test('truncated and overlong weights', async () => {
    const saved = await net;
    const data = saved.weightData as ArrayBuffer;
    const shorter = await rejection({ ...saved, weightData: data.slice(4) });
    expect(shorter).toMatchObject({ code: 'invalid-weights', message: expect.stringContaining('4 bytes') });
    const longer = await rejection({ ...saved, weightData: [data, new ArrayBuffer(8)] });
    expect(longer).toMatchObject({
      code: 'invalid-weights',
      message: expect.stringContaining('8 bytes longer'),
    });
  });
});

describeWithShared('real layers models', () => {
  test.each(['mobilenet_v1_0.25_224', 'resnet8_cifar10'])('%s computes what TF.js predicts', async (name) => {
    const location = shared('models', name, 'model.json');
    await tf.setBackend('cpu');
    const model = await loadLayersModel(fileSystem(location));
    await expectPrediction(await readModel(location), model, random());
  });
});
