/** Kernels that move int8 codes (int32), whatever their scale. */
import { checkArgument } from '../src/base/errors';
import { OpKind, PadMode } from '../src/program/program';
import { checkInput, type LowbitKernel } from './kernel';
import { runWeightless } from './weightless';

export interface QuantizedPadAttrs {
  /** Before and after along axis 0, before and after along axis 1... */
  paddings: number[];
  /** Default `constant`. */
  mode?: 'constant' | 'reflect' | 'symmetric';
  /** The code that a constant padding is made of, default 0: usually the zero point. */
  code?: number;
}

export interface QuantizedSliceAttrs {
  /** One entry an axis; a size of -1: to the end. */
  begin: number[];
  size: number[];
  /** At least 1; default all 1. */
  strides?: number[];
}

export interface QuantizedTransposeAttrs {
  /** Axis i of the output is axis `perm[i]` of the input. */
  perm: number[];
}

export interface QuantizedSpaceDepthAttrs {
  blockSize: number;
}

const PAD_MODES = {
  constant: PadMode.Constant,
  reflect: PadMode.Reflect,
  symmetric: PadMode.Symmetric,
} as const;

const ANY_SCALE = { scale: 1, zeroPoint: 0 };

function layoutKernel<Attrs>(name: string, kind: OpKind, fields: (attrs: Attrs) => object): LowbitKernel {
  return {
    name,
    inputNames: ['x'],
    run(call) {
      const x = checkInput(name, call.inputs, 'x', 'int32');
      return runWeightless(call, {
        kernelName: name,
        kind,
        inputs: [{ tensor: x, params: ANY_SCALE }],
        output: ANY_SCALE,
        outputRank: x.shape.length,
        fields: () => fields(call.attrs as unknown as Attrs),
      });
    },
  };
}

/** Codes around a tensor: one code, or the tensor mirrored. */
export const quantizedPadKernel = layoutKernel<QuantizedPadAttrs>('QuantizedPad', OpKind.Pad, (attrs) => {
  const { paddings, mode = 'constant', code = 0 } = attrs;
  checkArgument(mode in PAD_MODES, 'mode', "'constant', 'reflect' or 'symmetric'", mode);
  const pairs = Array.from({ length: paddings.length / 2 }, (_, i) => [paddings[2 * i], paddings[2 * i + 1]]);
  return { mode: PAD_MODES[mode], code, paddings: pairs };
});

/** A part of a tensor, with positive strides. */
export const quantizedSliceKernel = layoutKernel<QuantizedSliceAttrs>(
  'QuantizedSlice',
  OpKind.Slice,
  (attrs) => ({
    ranges: attrs.begin.map((begin, axis) => ({
      begin,
      size: attrs.size[axis],
      stride: attrs.strides?.[axis] ?? 1,
    })),
  }),
);

/** The axes of a tensor in another order. */
export const quantizedTransposeKernel = layoutKernel<QuantizedTransposeAttrs>(
  'QuantizedTranspose',
  OpKind.Transpose,
  ({ perm }) => ({ axes: perm }),
);

/** Blocks of pixels as channels, NHWC. */
export const quantizedSpaceToDepthKernel = layoutKernel<QuantizedSpaceDepthAttrs>(
  'QuantizedSpaceToDepth',
  OpKind.SpaceToDepth,
  ({ blockSize }) => ({ block: blockSize }),
);

/** Channels as blocks of pixels, NHWC. */
export const quantizedDepthToSpaceKernel = layoutKernel<QuantizedSpaceDepthAttrs>(
  'QuantizedDepthToSpace',
  OpKind.DepthToSpace,
  ({ blockSize }) => ({ block: blockSize }),
);
