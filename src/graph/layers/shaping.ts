/** Layers that only move values: reshape, permute, pad, cut. And those that do nothing outside training. */
import type { Shape } from '../infer-shapes';
import { sliceAttrs } from '../strided-slice';
import type { LayerCall, LayerReader } from './layer-call';
import { elements } from './layout';

/** The batch as it is, and given dimensions behind it. */
function reshaped(call: LayerCall, rest: Shape): ReturnType<LayerReader> {
  const { ref, ...input } = { ...call.input, ref: call.plain(call.input) };
  const batch = rest.includes(-1) ? input.shape[0] : -1;
  return { ...call.result(call.reshape(ref, [batch, ...rest])), dtype: input.dtype };
}

const flatten: LayerReader = (call) => {
  const { config, input } = call;
  config.word('data_format', ['channels_last'], 'channels_last');
  const sizes = input.shape.slice(1).map((d, i) => call.known(d, `its input's dimension ${i + 1}`));
  return reshaped(call, [elements(sizes)]);
};

const reshape: LayerReader = (call) => {
  const { config, input } = call;
  const value = config.get('target_shape');
  if (!Array.isArray(value) || !value.every((d) => d === null || Number.isSafeInteger(d))) {
    throw config.expected('a list of sizes', 'target_shape', value);
  }
  const target = value.map((d) => (d === null || d < 0 ? -1 : d)) as number[];
  const open = target.filter((d) => d < 0).length;
  if (open > 1) throw config.expected('at most one open size', 'target_shape', value);
  const from = input.shape.slice(1);
  if (from.includes(-1)) return reshaped(call, target);
  const rest = elements(target.filter((d) => d >= 0));
  const size = elements(from);
  if (open === 1 ? rest === 0 || size % rest !== 0 : rest !== size) {
    throw config.error(`cannot reshape [${input.shape}] to [-1,${target}].`);
  }
  return reshaped(
    call,
    target.map((d) => (d < 0 ? size / rest : d)),
  );
};

const permute: LayerReader = (call) => {
  const { config, input } = call;
  const dims = config.integers('dims');
  const rank = input.shape.length;
  if (dims.length !== rank - 1 || dims.some((_, i) => !dims.includes(i + 1))) {
    throw config.expected(`the numbers 1 to ${rank - 1} in some order`, 'dims', dims);
  }
  return call.result(call.op('Transpose', [call.plain(input), call.ints('perm', [0, ...dims])]));
};

const repeatVector: LayerReader = (call) => {
  const input = call.inputOfRank(2);
  const expanded = call.op('ExpandDims', [call.plain(input), call.ints('axis', [1], [])]);
  return call.result(call.op('Tile', [expanded, call.ints('multiples', [1, call.config.integer('n'), 1])]));
};

const zeroPadding2d: LayerReader = (call) => {
  const { x, layout } = call.spatial();
  const [rows, columns] = call.config.borders('padding', 1);
  const pads = call.ints('paddings', [0, 0, ...rows, ...columns, 0, 0], [4, 2]);
  return call.result(call.op('Pad', [x, pads]), layout);
};

const cropping2d: LayerReader = (call) => {
  const { x, layout } = call.spatial();
  const [[top, bottom], [left, right]] = call.config.borders('cropping', 0);
  const refs = [
    call.ints('begin', [0, top, left, 0]),
    call.ints('end', [0, -bottom, -right, 0]),
    call.ints('strides', [1, 1, 1, 1]),
  ];
  // An end of zero means the end of the axis.
  const end = 0b1001 | (bottom === 0 ? 0b0010 : 0) | (right === 0 ? 0b0100 : 0);
  return call.result(call.op('StridedSlice', [x, ...refs], sliceAttrs({ begin: 0b1001, end })), layout);
};

const identity: LayerReader = (call) => call.input;

export const SHAPING_LAYERS: Readonly<Record<string, LayerReader>> = {
  Flatten: flatten,
  Reshape: reshape,
  Permute: permute,
  RepeatVector: repeatVector,
  ZeroPadding2D: zeroPadding2d,
  Cropping2D: cropping2d,
  Dropout: identity,
  SpatialDropout1D: identity,
  GaussianNoise: identity,
  GaussianDropout: identity,
  AlphaDropout: identity,
};
