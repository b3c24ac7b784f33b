/** An LSTM over pictures, whose products are convolutions: Shi et al. 2015. It is written out step by step. */
import { attr } from '../attrs';
import type { TensorRef } from '../ir';
import { sliceAttrs } from '../strided-slice';
import { type LayerCall, type LayerReader, windowAttrs } from './layer-call';
import { lstmStep, unroll } from './recurrent';

const GATES = 4;

/** Of pictures [batch, height, width, GATES * filters], the channels of a gate. */
function gateSlicer(call: LayerCall, filters: number): (x: TensorRef, gate: number) => TensorRef {
  const size = call.ints('filters', [-1, -1, -1, filters]);
  return (x, gate) => {
    const begin = call.ints('gate', [0, 0, 0, gate * filters]);
    return call.op('Slice', [x, begin, size], { Index: attr.dtype('int32') });
  };
}

/** The convolution of all steps at once, [batch, steps, height, width, GATES * filters], bias added. */
function inputProducts(call: LayerCall, kernelSize: readonly number[], width: number): TensorRef {
  const { config, builder } = call;
  const { shape, ...input } = call.inputOfRank(5);
  const [steps, height, columns, channels] = shape
    .slice(1)
    .map((size, i) => call.known(size, ['its steps', 'its height', 'its width', 'its channels'][i]));
  const pictures = call.reshape(call.plain({ shape, ...input }), [-1, height, columns, channels]);
  const kernel = call.constant('kernel', call.weight('kernel', [...kernelSize, channels, width]));
  const dilations = attr.ints([1, ...config.sizes('dilation_rate', 2, 1), 1]);
  const padding = config.word('padding', ['valid', 'same'], 'valid');
  const attrs = windowAttrs(config.sizes('strides', 2, 1), padding, { dilations });
  let products = call.op('Conv2D', [pictures, kernel], attrs);
  if (config.flag('use_bias', true)) {
    const bias = call.constant('bias', call.weight('bias', [width]));
    products = call.op('BiasAdd', [products, bias], { data_format: attr.string('NHWC') });
  }
  return call.reshape(products, [-1, steps, ...builder.shapeOf(products).slice(1)]);
}

const convLstm: LayerReader = (call) => {
  const { config } = call;
  config.word('data_format', ['channels_last'], 'channels_last');
  const filters = config.integer('filters');
  const kernelSize = config.sizes('kernel_size', 2);
  return unroll(call, 5, () => {
    const products = inputProducts(call, kernelSize, GATES * filters);
    const weights = call.weight('recurrent_kernel', [...kernelSize, filters, GATES * filters]);
    const recurrent = call.constant('recurrent_kernel', weights);
    const attrs = windowAttrs([1, 1], 'same', { dilations: attr.ints([1, 1, 1, 1]) });
    const recur = (hidden: TensorRef) => call.op('Conv2D', [hidden, recurrent], attrs);
    const ones = call.ints('strides', [1, 1, 1, 1, 1]);
    const end = call.ints('end', [0, 0, 0, 0, 0]);
    const masks = sliceAttrs({ begin: 0b11101, end: 0b11101, shrink: 0b00010 });
    const inputOf = (n: number) =>
      call.op('StridedSlice', [products, call.ints('begin', [0, n, 0, 0, 0]), end, ones], masks);
    return { step: lstmStep(call, recur, gateSlicer(call, filters)), inputOf };
  });
};

export const CONV_LSTM_LAYERS: Readonly<Record<string, LayerReader>> = { ConvLSTM2D: convLstm };
