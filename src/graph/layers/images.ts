/** Layers that resize, cut and scale images. */
import { attr } from '../attrs';
import type { Constant, TensorRef } from '../ir';
import { sliceAttrs } from '../strided-slice';
import type { LayerCall, LayerReader } from './layer-call';

const INTERPOLATIONS = ['nearest', 'bilinear'] as const;

const OPS = { nearest: 'ResizeNearestNeighbor', bilinear: 'ResizeBilinear' };

function resize(
  call: LayerCall,
  x: TensorRef,
  size: TensorRef,
  interpolation: (typeof INTERPOLATIONS)[number],
  sampling: 'corners' | 'edges' | 'half pixels',
): TensorRef {
  const attrs = {
    align_corners: { b: sampling === 'corners' },
    half_pixel_centers: { b: sampling === 'half pixels' },
  };
  return call.op(OPS[interpolation], [x, size], attrs);
}

/** Repeats pixels, or lets TF.js interpolate between them from their edges; Keras does so from their centres. */
const upSampling2d: LayerReader = (call) => {
  const { config } = call;
  const { x, layout } = call.spatial();
  const factors = config.sizes('size', 2, 2);
  const target = call.shapeLike(
    x,
    factors.map((factor, i) => ({ axis: i + 1, factor })),
  );
  const interpolation = config.word('interpolation', INTERPOLATIONS, 'nearest');
  const centred = call.keras3 && interpolation === 'bilinear';
  return call.result(resize(call, x, target, interpolation, centred ? 'half pixels' : 'edges'), layout);
};

/** TF.js aligns the corners here, unlike Keras, which samples at the centres of pixels. */
const resizing: LayerReader = (call) => {
  const { config } = call;
  const x = call.plain(call.inputOfRank(4));
  const target = call.ints('size', [config.integer('height'), config.integer('width')]);
  const interpolation = config.word('interpolation', INTERPOLATIONS, 'bilinear');
  const cropped = config.flag('crop_to_aspect_ratio', false);
  if (call.keras3 && cropped) throw config.error('its crop_to_aspect_ratio is not supported.');
  const sampling = call.keras3 ? 'half pixels' : cropped ? 'edges' : 'corners';
  return call.result(resize(call, x, target, interpolation, sampling));
};

/** Where a crop starts; the columns of one that cuts a single column start behind it, in TF.js. */
function cropStarts(input: readonly [number, number], target: readonly [number, number]): [number, number] {
  const [top, left] = [0, 1].map((i) => Math.floor((input[i] - target[i]) / 2)) as [number, number];
  return [top, left === 0 && input[1] !== target[1] ? 1 : left];
}

/** Cuts the centre of an image; resizes one that is too small. */
const centerCrop: LayerReader = (call) => {
  const { config } = call;
  const input = call.inputOfRank(4);
  const x = call.plain(input);
  const known = [1, 2].map((axis) => call.known(input.shape[axis], 'the size of its input'));
  const target = [config.integer('height'), config.integer('width')] as const;
  const [top, left] = cropStarts(known as [number, number], target);
  if (top < 0 || left < 0) {
    return call.result(resize(call, x, call.ints('size', target), 'bilinear', 'edges'));
  }
  const refs = [
    call.ints('begin', [0, top, left, 0]),
    call.ints('end', [0, top + target[0], left + target[1], 0]),
    call.ints('strides', [1, 1, 1, 1]),
  ];
  const masks = sliceAttrs({ begin: 0b1001, end: 0b1001 });
  return call.result(call.op('StridedSlice', [x, ...refs], masks));
};

/** A number, or one per channel. */
function factor(call: LayerCall, key: string, byDefault?: number): Constant {
  const value = call.config.get(key) ?? byDefault;
  const list = [value].flat();
  if (!list.every((v) => typeof v === 'number' && Number.isFinite(v))) {
    throw call.config.expected('a number, or one per channel,', key, value);
  }
  const values = Float32Array.from(list as number[]);
  return { dtype: 'float32', shape: Array.isArray(value) ? [values.length] : [], values };
}

const rescaling: LayerReader = (call) => {
  const { input } = call;
  const x = call.plain(input);
  const types = { SrcT: attr.dtype(input.dtype), DstT: attr.dtype('float32') };
  const real = input.dtype === 'float32' ? x : call.op('Cast', [x], types);
  const scaled = call.op('Mul', [real, call.constant('scale', factor(call, 'scale'))]);
  return call.result(call.op('AddV2', [scaled, call.constant('offset', factor(call, 'offset', 0))]));
};

export const IMAGE_LAYERS: Readonly<Record<string, LayerReader>> = {
  UpSampling2D: upSampling2d,
  Resizing: resizing,
  CenterCrop: centerCrop,
  Rescaling: rescaling,
};
