/** Pools over windows, and over everything. A sequence is pooled as an image of height 1. */
import { attr } from '../attrs';
import { type LayerCall, type LayerReader, windowAttrs } from './layer-call';
import { type LayerTensor, SEQUENCE } from './layout';

const PADDINGS = ['valid', 'same'] as const;

function pool(op: 'MaxPool' | 'AvgPool', rank: 1 | 2): LayerReader {
  return (call) => {
    const { config } = call;
    const { x, layout } = rank === 2 ? call.spatial() : sequence(call);
    const size = config.sizes('pool_size', rank, 2);
    const strides = config.sizes('strides', rank, size);
    const asImage = rank === 2 ? [] : [1];
    const attrs = windowAttrs([...asImage, ...strides], config.word('padding', PADDINGS, 'valid'), {
      ksize: attr.ints([1, ...asImage, ...size, 1]),
    });
    return call.result(call.op(op, [x], attrs), layout);
  };
}

/** Over depth, height and width. */
function volumePool(op: 'MaxPool3D' | 'AvgPool3D'): LayerReader {
  return (call) => {
    const { config } = call;
    const x = call.plain(call.inputOfRank(5));
    config.word('data_format', ['channels_last'], 'channels_last');
    const size = config.sizes('pool_size', 3, 2);
    const attrs = windowAttrs(config.sizes('strides', 3, size), config.word('padding', PADDINGS, 'valid'), {
      ksize: attr.ints([1, ...size, 1]),
    });
    return call.result(call.op(op, [x], attrs));
  };
}

function sequence(call: LayerCall) {
  call.config.word('data_format', ['channels_last'], 'channels_last');
  return { x: call.builder.image(call.inputOfRank(3)), layout: SEQUENCE };
}

function globalPool(op: 'Max' | 'Mean', rank: 1 | 2): LayerReader {
  return (call): LayerTensor => {
    const { x, layout } = rank === 2 ? call.spatial() : sequence(call);
    const keep = call.config.flag('keepdims', false);
    const ref = call.op(op, [x, call.ints('axes', [1, 2])], { keep_dims: { b: keep } });
    return keep ? call.result(ref, layout) : call.result(ref);
  };
}

export const POOLING_LAYERS: Readonly<Record<string, LayerReader>> = {
  MaxPooling1D: pool('MaxPool', 1),
  MaxPooling2D: pool('MaxPool', 2),
  MaxPooling3D: volumePool('MaxPool3D'),
  AveragePooling1D: pool('AvgPool', 1),
  AveragePooling2D: pool('AvgPool', 2),
  AveragePooling3D: volumePool('AvgPool3D'),
  GlobalMaxPooling1D: globalPool('Max', 1),
  GlobalMaxPooling2D: globalPool('Max', 2),
  GlobalAveragePooling1D: globalPool('Mean', 1),
  GlobalAveragePooling2D: globalPool('Mean', 2),
};
