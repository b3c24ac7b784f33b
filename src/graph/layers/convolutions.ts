/** Convolutions. Weights keep TF.js's order: height, width, input channels, output channels. */
import { attr } from '../attrs';
import type { Constant, TensorRef } from '../ir';
import { activate } from './activations';
import { type LayerCall, type LayerReader, windowAttrs } from './layer-call';
import { type LayerTensor, PLAIN, SEQUENCE } from './layout';

const PADDINGS = ['valid', 'same'] as const;

function padding(call: LayerCall): 'same' | 'valid' {
  return call.config.word('padding', PADDINGS, 'valid');
}

/** Adds the bias, if the layer has one, and applies its activation. */
function finish(call: LayerCall, ref: TensorRef, layout: LayerTensor['layout']): LayerTensor {
  if (!call.config.flag('use_bias', true)) return activate(call, call.result(ref, layout));
  const bias = call.weight('bias', [call.builder.shapeOf(ref).at(-1)!]);
  const sum = call.op('BiasAdd', [ref, call.constant('bias', bias)], { data_format: attr.string('NHWC') });
  return activate(call, call.result(sum, layout));
}

const conv2d: LayerReader = (call) => {
  const { config } = call;
  const { x, layout, channels } = call.spatial();
  config.refuse('groups', 1);
  const filters = config.integer('filters');
  const shape = [
    ...config.sizes('kernel_size', 2),
    call.known(channels, 'the channels of its input'),
    filters,
  ];
  const kernel = call.constant('kernel', call.weight('kernel', shape));
  const dilations = attr.ints([1, ...config.sizes('dilation_rate', 2, 1), 1]);
  const attrs = windowAttrs(config.sizes('strides', 2, 1), padding(call), { dilations });
  return finish(call, call.op('Conv2D', [x, kernel], attrs), layout);
};

/** The same weights over images of height 1. */
function overImages(weights: Constant): Constant {
  return { ...weights, shape: [1, ...weights.shape] };
}

const conv1d: LayerReader = (call) => {
  const { config } = call;
  const input = call.inputOfRank(3);
  config.refuse('groups', 1);
  config.word('data_format', ['channels_last'], 'channels_last');
  const [size] = config.sizes('kernel_size', 1);
  const shape = [size, call.known(input.shape[2], 'the channels of its input'), config.integer('filters')];
  const kernel = call.constant('kernel', overImages(call.weight('kernel', shape)));
  const dilations = attr.ints([1, 1, ...config.sizes('dilation_rate', 1, 1), 1]);
  const attrs = windowAttrs([1, ...config.sizes('strides', 1, 1)], padding(call), { dilations });
  return finish(call, call.op('Conv2D', [call.builder.image(input), kernel], attrs), SEQUENCE);
};

/** The depthwise half of two layers. */
function depthwise(
  call: LayerCall,
  x: TensorRef,
  channels: number,
  dilationRate: readonly number[],
): TensorRef {
  const { config } = call;
  const known = call.known(channels, 'the channels of its input');
  const shape = [...config.sizes('kernel_size', 2), known, config.integer('depth_multiplier', 1)];
  // Keras 3 calls it `kernel` where it stands alone.
  const weights = call.weight('depthwise_kernel', shape, 'kernel');
  const kernel = call.constant('depthwise_kernel', weights);
  const dilations = attr.ints([1, ...dilationRate, 1]);
  const attrs = windowAttrs(config.sizes('strides', 2, 1), padding(call), { dilations });
  return call.op('DepthwiseConv2dNative', [x, kernel], attrs);
}

const depthwiseConv2d: LayerReader = (call) => {
  const { x, layout, channels } = call.spatial();
  call.config.refuse('dilation_rate', 1);
  return finish(call, depthwise(call, x, channels, [1, 1]), layout);
};

const separableConv2d: LayerReader = (call) => {
  const { config } = call;
  const { x, layout, channels } = call.spatial();
  const spatial = depthwise(call, x, channels, config.sizes('dilation_rate', 2, 1));
  const shape = [1, 1, call.builder.shapeOf(spatial)[3], config.integer('filters')];
  const kernel = call.constant('pointwise_kernel', call.weight('pointwise_kernel', shape));
  const attrs = windowAttrs([1, 1], 'valid', { dilations: attr.ints([1, 1, 1, 1]) });
  return finish(call, call.op('Conv2D', [spatial, kernel], attrs), layout);
};

const conv2dTranspose: LayerReader = (call) => {
  const { config } = call;
  const { x, layout, channels } = call.spatial();
  config.refuse('output_padding', undefined);
  config.refuse('dilation_rate', 1);
  const mode = padding(call);
  const [kernelSize, strides] = [config.sizes('kernel_size', 2), config.sizes('strides', 2, 1)];
  const filters = config.integer('filters');
  const shape = [...kernelSize, filters, call.known(channels, 'the channels of its input')];
  const kernel = call.constant('kernel', call.weight('kernel', shape));
  // Dumoulin and Visin 2016, relationship 13 and its like for half padding.
  const sizes = strides.map((factor, i) => {
    const more = mode === 'same' ? 0 : Math.max(kernelSize[i] - factor, 0);
    return { axis: i + 1, factor, more };
  });
  const outputShape = call.shapeLike(x, [{ axis: 0, factor: 1 }, ...sizes, filters]);
  const ref = call.op('Conv2DBackpropInput', [outputShape, kernel, x], {
    ...windowAttrs(strides, mode),
    dilations: attr.ints([1, 1, 1, 1]),
  });
  return finish(call, ref, layout);
};

/** Over depth, height and width. */
const conv3d: LayerReader = (call) => {
  const { config } = call;
  const input = call.inputOfRank(5);
  config.refuse('groups', 1);
  config.word('data_format', ['channels_last'], 'channels_last');
  const channels = call.known(input.shape[4], 'the channels of its input');
  const shape = [...config.sizes('kernel_size', 3), channels, config.integer('filters')];
  const kernel = call.constant('kernel', call.weight('kernel', shape));
  const dilations = attr.ints([1, ...config.sizes('dilation_rate', 3, 1), 1]);
  const attrs = windowAttrs(config.sizes('strides', 3, 1), padding(call), { dilations });
  return finish(call, call.op('Conv3D', [call.plain(input), kernel], attrs), PLAIN);
};

export const CONVOLUTION_LAYERS: Readonly<Record<string, LayerReader>> = {
  Conv1D: conv1d,
  Conv2D: conv2d,
  Conv3D: conv3d,
  DepthwiseConv2D: depthwiseConv2d,
  SeparableConv2D: separableConv2d,
  Conv2DTranspose: conv2dTranspose,
};
