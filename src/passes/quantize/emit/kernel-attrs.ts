/** Attributes that the kernels share. */
import { attr } from '../../../graph/attrs';
import type { RawAttr } from '../../../graph/ir';
import { PaddingMode, type TensorSpec, TensorType, type Window } from '../../../program/program';

export type Attrs = Record<string, RawAttr>;

const PADS = { [PaddingMode.Same]: 'same', [PaddingMode.Valid]: 'valid', [PaddingMode.Explicit]: 'explicit' };

export function windowAttrs({ strides, dilations, padding }: Window): Attrs {
  const { mode, top = 0, bottom = 0, left = 0, right = 0 } = padding;
  return {
    strides: attr.ints(strides),
    dilations: attr.ints(dilations ?? [1, 1]),
    pad: attr.string(PADS[mode]),
    ...(mode === PaddingMode.Explicit && { explicitPads: attr.ints([top, bottom, left, right]) }),
  };
}

export function affineAttrs(
  prefix: string,
  { scale, zeroPoint }: Pick<TensorSpec, 'scale' | 'zeroPoint'>,
): Attrs {
  return { [`${prefix}Scale`]: attr.float(scale), [`${prefix}ZeroPoint`]: attr.int(zeroPoint) };
}

/** The parameters of codes; nothing for float32. */
export function affineAttrsOfCodes(prefix: string, spec: TensorSpec): Attrs {
  return spec.type === TensorType.Float32 ? {} : affineAttrs(prefix, spec);
}
