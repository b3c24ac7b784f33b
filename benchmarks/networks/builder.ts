/**
 * Builds a convolutional network with random weights that computes something: every layer is run on sample pictures as
 * it is added, and normalized by what it gave there, as a batch normalization in training is, which is then folded into
 * its weights:
 *
 *   w' = w * gamma / sigma,  b' = beta - mu * gamma / sigma          mu, sigma: of each channel over the pictures
 *
 * w is uniform, as one of the two choices after He et al. 2015 is (its scale does not matter here, and a few large ones
 * would cost an 8-bit scale its resolution); gamma and beta are random as well. beta is mostly
 * positive: with it around zero a deep network without skips forgets its input in ReLUs and blows up small errors
 * instead (each layer multiplies the relative noise by E[f'^2] / Var[f], 1.47 at beta = 0 and 1.05 at beta = 1.5), which
 * no trained network does.
 */
import * as tf from '@tensorflow/tfjs-core';
import { attr, shapeToJson } from '../../src/graph/attrs';
import type { Constant, DenseTensor, Graph, GraphNode, RawAttr } from '../../src/graph/ir';
import type { Random } from './random';

type Activation = 'linear' | 'relu' | 'relu6';

/** A tensor of the network: the node, and its values on the pictures. */
export interface Layer {
  readonly name: string;
  readonly values: tf.Tensor4D;
}

interface LayerOptions {
  readonly stride?: number;
  readonly activation: Activation;
  /** Typical gamma, default 1. A residual branch has less: it refines what the skip carries, as in trained networks. */
  readonly gamma?: number;
  /** Typical beta; default 0 without an activation, else 1.5. */
  readonly beta?: number;
}

const FUSED: Readonly<Record<Activation, string[]>> = {
  linear: ['BiasAdd'],
  relu: ['BiasAdd', 'Relu'],
  relu6: ['BiasAdd', 'Relu6'],
};

const ACTIVATIONS: Readonly<Record<Activation, (x: tf.Tensor4D) => tf.Tensor4D>> = {
  linear: (x) => x,
  relu: (x) => tf.relu(x),
  relu6: (x) => tf.relu6(x),
};

const EPSILON = 1e-3;

function windowAttrs(stride: number): Record<string, RawAttr> {
  return {
    T: attr.dtype('float32'),
    strides: attr.ints([1, stride, stride, 1]),
    dilations: attr.ints([1, 1, 1, 1]),
    padding: attr.string('SAME'),
    data_format: attr.string('NHWC'),
  };
}

export class NetworkBuilder {
  private readonly nodes = new Map<string, GraphNode>();
  private readonly constants = new Map<string, Constant>();
  private readonly inputShape: readonly number[];

  /** @param pictures a batch of them, on which layers are normalized */
  constructor(
    private readonly random: Random,
    private readonly pictures: DenseTensor,
  ) {
    this.inputShape = [-1, ...pictures.shape.slice(1)];
  }

  input(): Layer {
    const shape = { shape: shapeToJson(this.inputShape) };
    this.node('input', 'Placeholder', [], { dtype: attr.dtype('float32'), shape });
    const values = tf.tensor4d(
      this.pictures.values as Float32Array,
      this.pictures.shape as [number, number, number, number],
    );
    return { name: 'input', values };
  }

  private node(name: string, op: string, inputs: readonly string[], attrs: Record<string, RawAttr>): void {
    const refs = inputs.map((node) => ({ node, index: 0 }));
    this.nodes.set(name, { name, op, inputs: refs, attrs });
  }

  private constant(name: string, shape: readonly number[], values: Float32Array | Int32Array): string {
    const dtype = values instanceof Float32Array ? 'float32' : 'int32';
    this.constants.set(name, { dtype, shape, values });
    this.node(name, 'Const', [], { dtype: attr.dtype(dtype) });
    return name;
  }

  private draw(shape: readonly number[]): Float32Array {
    const weights = new Float32Array(shape.reduce((product, d) => product * d, 1));
    for (let i = 0; i < weights.length; i++) weights[i] = this.random.between(-1, 1);
    return weights;
  }

  /** The normalization of a layer's channels, random gamma and beta included: value * scale + shift. */
  private normalization(raw: tf.Tensor4D, options: LayerOptions): { scale: tf.Tensor1D; shift: tf.Tensor1D } {
    const channels = raw.shape[3];
    const { gamma: typicalGamma = 1, beta: typicalBeta = options.activation === 'linear' ? 0 : 1.5 } =
      options;
    const draw = (value: () => number) => tf.tensor1d(Float32Array.from({ length: channels }, value));
    const gamma = draw(() => typicalGamma * this.random.between(0.7, 1.3));
    const beta = draw(() => typicalBeta + 0.5 * typicalGamma * this.random.normal());
    return tf.tidy(() => {
      const { mean, variance } = tf.moments(raw, [0, 1, 2]);
      const scale = tf.div(gamma, tf.sqrt(tf.add(variance, EPSILON)));
      return { scale: scale as tf.Tensor1D, shift: tf.sub(beta, tf.mul(mean, scale)) as tf.Tensor1D };
    });
  }

  /** Adds a convolution or depthwise convolution with what it computes. */
  private weighted(
    name: string,
    op: string,
    from: Layer,
    filterShape: [number, number, number, number],
    options: LayerOptions,
    compute: (x: tf.Tensor4D, filter: tf.Tensor4D) => tf.Tensor4D,
  ): Layer {
    const { stride = 1, activation } = options;
    const { values, filter, bias } = tf.tidy(() => {
      const drawn = tf.tensor4d(this.draw(filterShape), filterShape);
      const raw = compute(from.values, drawn);
      const { scale, shift } = this.normalization(raw, options);
      const perChannel = op === '_FusedConv2D' ? scale : tf.reshape(scale, [filterShape[2], 1]);
      const normalized = tf.add(tf.mul(raw, scale), shift) as tf.Tensor4D;
      return { values: ACTIVATIONS[activation](normalized), filter: tf.mul(drawn, perChannel), bias: shift };
    });
    this.node(
      name,
      op,
      [
        from.name,
        this.constant(`${name}/weights`, filterShape, filter.dataSync() as Float32Array),
        this.constant(`${name}/bias`, bias.shape, bias.dataSync() as Float32Array),
      ],
      { ...windowAttrs(stride), fused_ops: attr.strings(FUSED[activation]), num_args: attr.int(1) },
    );
    tf.dispose([filter, bias]);
    return { name, values };
  }

  convolution(
    name: string,
    from: Layer,
    options: LayerOptions & { channels: number; kernel: number },
  ): Layer {
    const { channels, kernel, stride = 1 } = options;
    const shape: [number, number, number, number] = [kernel, kernel, from.values.shape[3], channels];
    return this.weighted(name, '_FusedConv2D', from, shape, options, (x, filter) =>
      tf.conv2d(x, filter, stride, 'same'),
    );
  }

  depthwise(name: string, from: Layer, options: LayerOptions): Layer {
    const { stride = 1 } = options;
    const shape: [number, number, number, number] = [3, 3, from.values.shape[3], 1];
    const op = 'FusedDepthwiseConv2dNative';
    return this.weighted(name, op, from, shape, options, (x, filter) =>
      tf.depthwiseConv2d(x, filter, stride, 'same'),
    );
  }

  add(name: string, a: Layer, b: Layer): Layer {
    this.node(name, 'AddV2', [a.name, b.name], { T: attr.dtype('float32') });
    return { name, values: tf.add(a.values, b.values) };
  }

  relu(name: string, from: Layer): Layer {
    this.node(name, 'Relu', [from.name], { T: attr.dtype('float32') });
    return { name, values: tf.relu(from.values) };
  }

  maxPool(name: string, from: Layer, { kernel, stride }: { kernel: number; stride: number }): Layer {
    const attrs = { ...windowAttrs(stride), ksize: attr.ints([1, kernel, kernel, 1]) };
    this.node(name, 'MaxPool', [from.name], attrs);
    return { name, values: tf.maxPool(from.values, kernel, stride, 'same') };
  }

  /** Global average pooling and a linear layer, whose outputs vary by 2 over the pictures and by 2 over the classes. */
  classifier(from: Layer, classes: number): Graph {
    const axes = this.constant('pool/axes', [2], Int32Array.of(1, 2));
    this.node('pool', 'Mean', [from.name, axes], { T: attr.dtype('float32'), keep_dims: { b: false } });
    const shape: [number, number] = [from.values.shape[3], classes];
    const weights = this.draw(shape);
    const { scaled, bias } = tf.tidy(() => {
      const logits = tf.matMul(tf.mean<tf.Tensor2D>(from.values, [1, 2]), tf.tensor2d(weights, shape));
      const { mean, variance } = tf.moments(logits, [0]);
      const scale = tf.div(2, tf.sqrt(tf.mean(variance)));
      const center = tf.tensor1d(Float32Array.from({ length: classes }, () => 2 * this.random.normal()));
      return {
        scaled: tf.mul(tf.tensor2d(weights, shape), scale),
        bias: tf.sub(center, tf.mul(mean, scale)),
      };
    });
    const inputs = [
      'pool',
      this.constant('logits/weights', shape, scaled.dataSync() as Float32Array),
      this.constant('logits/bias', [classes], bias.dataSync() as Float32Array),
    ];
    this.node('logits', '_FusedMatMul', inputs, {
      T: attr.dtype('float32'),
      transpose_a: { b: false },
      transpose_b: { b: false },
      fused_ops: attr.strings(['BiasAdd']),
      num_args: attr.int(1),
    });
    const entry = (name: string, shape: readonly number[]) => ({
      name,
      ref: { node: name, index: 0 },
      dtype: 'float32' as const,
      shape,
    });
    return {
      nodes: this.nodes,
      constants: this.constants,
      inputs: [entry('input', this.inputShape)],
      outputs: [entry('logits', [-1, classes])],
      source: { generatedBy: 'tfjs-lowbit benchmark, random weights' },
    };
  }
}
