/** Layers that multiply by, or look up in, a matrix. */
import { attr } from '../attrs';
import type { Constant, TensorRef } from '../ir';
import { activate } from './activations';
import { type LayerCall, type LayerReader, windowAttrs } from './layer-call';
import { type LayerTensor, PLAIN, SEQUENCE } from './layout';

/** A product along the last of three or four axes is a convolution with a 1x1 window. */
function pointwiseConvolution(call: LayerCall, x: TensorRef, weights: Constant): TensorRef {
  const kernel = call.constant('kernel', { ...weights, shape: [1, 1, ...weights.shape] });
  return call.op('Conv2D', [x, kernel], windowAttrs([1, 1], 'valid', { dilations: attr.ints([1, 1, 1, 1]) }));
}

function product(call: LayerCall, weights: Constant): LayerTensor {
  const { input, builder } = call;
  switch (input.shape.length) {
    case 2: {
      const kernel = call.constant('kernel', weights);
      const attrs = { transpose_a: { b: false }, transpose_b: { b: false } };
      return call.result(call.op('MatMul', [call.plain(input), kernel], attrs));
    }
    case 3:
      return call.result(pointwiseConvolution(call, builder.image(input), weights), SEQUENCE);
    case 4:
      return call.result(pointwiseConvolution(call, call.plain(input), weights), PLAIN);
    default:
      throw call.config.error(`expected an input of rank 2, 3 or 4 but its shape is [${input.shape}].`);
  }
}

const dense: LayerReader = (call) => {
  const { config, input } = call;
  const features = call.known(input.shape.at(-1) ?? 0, 'the features of its input');
  const units = config.integer('units');
  const y = product(call, call.weight('kernel', [features, units]));
  if (!config.flag('use_bias', true)) return activate(call, y);
  const bias = call.constant('bias', call.weight('bias', [units]));
  return activate(
    call,
    call.like(y, call.op('BiasAdd', [y.ref, bias], { data_format: attr.string('NHWC') })),
  );
};

const embedding: LayerReader = (call) => {
  const { config, input } = call;
  config.refuse('mask_zero', false, 'masks are not carried on');
  const table = call.weight('embeddings', [config.integer('input_dim'), config.integer('output_dim')]);
  const x = call.plain(input);
  const types = { SrcT: attr.dtype(input.dtype), DstT: attr.dtype('int32') };
  const indices = input.dtype === 'int32' ? x : call.op('Cast', [x], types);
  const refs = [call.constant('embeddings', table), indices, call.ints('axis', [0], [])];
  return call.result(call.op('GatherV2', refs, { batch_dims: attr.int(0) }));
};

export const DENSE_LAYERS: Readonly<Record<string, LayerReader>> = { Dense: dense, Embedding: embedding };
