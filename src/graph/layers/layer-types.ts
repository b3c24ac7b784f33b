/** Every layer type that can be read, by its class name. */
import { ACTIVATION_LAYERS } from './activations';
import { ATTENTION_LAYERS } from './attention';
import { CONV_LSTM_LAYERS } from './conv-lstm';
import { CONVOLUTION_LAYERS } from './convolutions';
import { DENSE_LAYERS } from './dense';
import { IMAGE_LAYERS } from './images';
import type { LayerReader } from './layer-call';
import { MERGING_LAYERS } from './merging';
import { MIXTURE_LAYERS } from './mixture';
import { NORMALIZATION_LAYERS } from './normalization';
import { POOLING_LAYERS } from './pooling';
import { RECURRENT_LAYERS } from './recurrent';
import { SHAPING_LAYERS } from './shaping';

export const LAYER_TYPES: ReadonlyMap<string, LayerReader> = new Map(
  Object.entries({
    ...ACTIVATION_LAYERS,
    ...ATTENTION_LAYERS,
    ...CONV_LSTM_LAYERS,
    ...CONVOLUTION_LAYERS,
    ...DENSE_LAYERS,
    ...IMAGE_LAYERS,
    ...MERGING_LAYERS,
    ...MIXTURE_LAYERS,
    ...NORMALIZATION_LAYERS,
    ...POOLING_LAYERS,
    ...RECURRENT_LAYERS,
    ...SHAPING_LAYERS,
  }),
);
